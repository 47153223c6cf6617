import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { chmod, chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeletionPending } from '../../contracts/retention/deletion.js';
import type { WorkerPage, WorkerView } from '../../contracts/tasks/workers.js';
import { presentWorkers } from '../../src/broker/workers.js';
import { workerFindings } from '../../src/doctor/workers.js';
import { workerMetrics } from '../../workers/metrics.js';
import { freePort } from '../fixtures/broker.js';
import { ApiLab } from '../fixtures/api.js';
import { cannotPin, pin, unpin } from '../fixtures/pin.js';
import { ORDINARY_USER, workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

describe('what runs leave on the disk', () => {
  let lab: WorkerLab;
  let api: ApiLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '1' });
    api = await ApiLab.start({}, lab.server);
  });
  after(async () => {
    await api.stopApi();
    await api.broker.close();
    await rm(api.dir, { recursive: true, force: true });
    await lab.stop();
  });

  const workers = async (): Promise<WorkerView[]> =>
    ((await api.request('/workers')).body as unknown as WorkerPage).items;
  /** Asked until it is so. */
  async function until<T>(find: () => Promise<T | undefined> | T | undefined): Promise<T> {
    for (;;) {
      const found = await find();
      if (found !== undefined) return found;
      await sleep(50);
    }
  }
  const workspaceOf = (sessionId: string): string => join(lab.dir, 'workspaces', sessionId);
  const deleted = (): string[] => readdirSync(join(lab.dir, 'deleted'));
  const run = async (body: object): Promise<{ task_id: string; session_id: string }> => {
    const task = await api.spawn(body);
    dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    return task;
  };
  const remove = async (sessionId: string): Promise<{ status: number; left: DeletionPending['undeleted'] }> => {
    const { status, body } = await api.request(`/sessions/${sessionId}`, { method: 'DELETE' });
    return { status, left: (body as unknown as Partial<DeletionPending>).undeleted ?? [] };
  };

  const needsRoot = ORDINARY_USER === undefined ? 'needs root, to make a file that the worker may not remove' : false;
  it('takes a slot out of service if it cannot be removed, as long as it cannot', { skip: needsRoot }, async () => {
    const port = String(await freePort());
    const { uid, prefix } = ORDINARY_USER ?? { uid: 0, prefix: [] };
    await chown(lab.dir, uid, uid);
    const env = { KSI_CONCURRENCY: '1', KSI_CONTAINMENT: 'process_group', KSI_METRICS_PORT: port };
    const worker = workerProcess(lab, env, prefix);
    const { task_id: id } = await api.spawn({ prompt: 'x [[hang]]' });
    const { worker_id: name } = dataOf('SPAWN_START', await lab.event('SPAWN_START', id));
    const home = join(lab.dir, 'workers', name, '0', 'home');
    await until(() => existsSync(home) || undefined);
    // As Go leaves its module cache; that must not keep anything.
    await mkdir(join(home, 'go', 'mod'), { recursive: true });
    await writeFile(join(home, 'go', 'mod', 'x'), '');
    for (const folder of ['go/mod', 'go']) {
      await chown(join(home, folder), uid, uid);
      await chmod(join(home, folder), 0o500);
    }
    // As sudo leaves it.
    const foreign = join(home, 'foreign');
    await mkdir(foreign);
    await writeFile(join(foreign, 'file'), '');
    assert.equal((await api.request(`/tasks/${id}/cancel`, { method: 'POST' })).status, 200);

    const shown = await until(async () => (await workers()).find(({ out_of_service: out }) => out === 1));
    const left = [{ slot: 0, path: join(foreign, 'file'), reason: 'EACCES' }];
    assert.deepEqual(
      shown.undeleted?.filter(({ path }) => path.endsWith('file')),
      left,
    );
    assert.equal(existsSync(join(home, 'go')), false);
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /^ksi_worker_slots_out_of_service 1$/m);
    const findings = [...workerFindings(await presentWorkers(lab.broker))];
    const { status: found, found: text } = findings.find(({ title }) => title === 'removal') ?? {};
    assert.equal(found, 'failed', 'it is the only slot');
    assert.match(text ?? '', /1 of its 1 slots are out of service: .*foreign\/file \(EACCES\)/);

    const { task_id: next } = await api.spawn({ prompt: 'y' });
    await lab.event('SPAWN_QUEUED', next);
    assert.equal(
      lab.of(next).some(({ type }) => type === 'SPAWN_START'),
      false,
    );
    await rm(foreign, { recursive: true });
    dataOf('SPAWN_COMPLETE', await lab.outcome(next));
    await until(
      async () =>
        (await workers()).every((each) => each.undeleted === undefined && each.out_of_service === undefined) ||
        undefined,
    );
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    worker.kill('SIGTERM');
    await exited;
    await chown(lab.dir, 0, 0);
    for (const folder of ['workspaces', 'deleted']) spawnSync('chown', ['-R', '0:0', join(lab.dir, folder)]);
  });

  it(
    'is named by DELETE if it stays, is removed later, and is nothing that a later session sees',
    { skip: cannotPin },
    async () => {
      const first = await lab.worker();
      const id = randomUUID();
      await run({ prompt: 'x', session_id: id });
      const secret = join(workspaceOf(id), 'secret');
      await writeFile(secret, 'x');
      spawnSync('mkfifo', [join(workspaceOf(id), 'fifo')]);
      await symlink('/', join(workspaceOf(id), 'link'));
      pin(secret);
      const { status, left } = await remove(id);
      assert.equal(status, 202);
      assert.deepEqual(
        left.map(({ session_id, reason, worker_id }) => ({ session_id, reason, worker_id })),
        [{ session_id: id, reason: 'EPERM', worker_id: first.worker.id }],
      );
      assert.match(left[0]?.path ?? '', /deleted.*secret$/);
      assert.match(await workerMetrics(() => first.worker).registry.metrics(), /^ksi_worker_left 1$/m);

      // A later session of that id has a folder of its own, and its worker may be a later one.
      await run({ prompt: 'y', session_id: id });
      assert.deepEqual(readdirSync(workspaceOf(id)), []);
      await first.worker.stop();
      assert.equal(deleted().length, 1);
      const second = await lab.worker();
      await until(() => (second.worker.left === 1 ? true : undefined));
      unpin(join(lab.dir, 'deleted', deleted()[0] ?? '', 'secret'));
      await until(() => (deleted().length === 0 ? true : undefined));
      assert.equal(second.worker.left, 0);

      // Nor where the folder itself cannot be moved: then there is none, until it is gone.
      pin(workspaceOf(id));
      assert.equal((await remove(id)).status, 202);
      const { task_id: waits } = await api.spawn({ prompt: 'z', session_id: id });
      const retry = dataOf('SPAWN_RETRY', await lab.event('SPAWN_RETRY', waits));
      assert.deepEqual([retry.reason, retry.counted], ['host_unable', false]);
      assert.match(retry.error?.message ?? '', /The folder of a deleted session cannot be removed: .*EPERM/);
      unpin(workspaceOf(id));
      dataOf('SPAWN_COMPLETE', await lab.outcome(waits));
      assert.deepEqual(deleted(), []);
      assert.deepEqual(await remove(id), { status: 204, left: [] });
      assert.equal(existsSync(workspaceOf(id)), false);
      await second.worker.stop();
    },
  );

  it('is nothing that a later session sees if no worker was there to hear of the deletion', async () => {
    const first = await lab.worker();
    const id = randomUUID();
    await run({ prompt: 'x', session_id: id });
    await writeFile(join(workspaceOf(id), 'secret'), 'x');
    await first.worker.stop();
    const { birthtimeMs: madeAt } = statSync(workspaceOf(id));
    // The clocks of two hosts may differ so much.
    await until(() => (Date.now() - madeAt > 2_500 ? true : undefined));
    assert.equal((await remove(id)).status, 204);
    const { task_id: next } = await api.spawn({ prompt: 'y', session_id: id });
    const second = await lab.worker();
    dataOf('SPAWN_COMPLETE', await lab.outcome(next));
    assert.deepEqual(readdirSync(workspaceOf(id)), []);
    await second.worker.stop();
  });
});
