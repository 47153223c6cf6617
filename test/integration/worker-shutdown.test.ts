import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { workerMarker } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const ONE_ATTEMPT = { command: { policy: { max_attempts: 1 } } };

describe('a worker process that hears SIGTERM', () => {
  let lab: WorkerLab;
  beforeEach(async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '10' });
  });
  afterEach(() => lab.stop());

  const terminated = async (child: ChildProcess): Promise<unknown> => {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    return (await exited) as unknown;
  };
  const online = (): Promise<unknown> => lab.until(() => lab.seen.find(({ event }) => event.type === 'WORKER_ONLINE'));

  it('lets its task finish and takes no other, then is gone without a trace', async () => {
    const child = workerProcess(lab, { KSI_CONCURRENCY: '2' });
    const { taskId } = await lab.post('x [[sleep:1000]]', ONE_ATTEMPT);
    await lab.event('SPAWN_START', taskId);
    const exited = terminated(child);
    await lab.until(() => lab.seen.find(({ event }) => event.type === 'WORKER_DRAINING'));
    const late = await lab.post('late');
    assert.deepEqual(await exited, [0, null]);
    assert.equal(dataOf('SPAWN_COMPLETE', await lab.outcome(taskId)).attempt, 1);
    assert.deepEqual(
      lab.of(late.taskId).map(({ type }) => type),
      ['SPAWN_QUEUED'],
    );
    assert.deepEqual(await readdir(join(lab.dir, 'workers')), []);
  });

  it('ends after KSI_DRAIN_S what is not finished, and gives it back uncounted', async () => {
    const child = workerProcess(lab, { KSI_DRAIN_S: '1' });
    const { taskId } = await lab.post('x [[ignore-sigterm]] [[messages:3]] [[sleep:4500]]', ONE_ATTEMPT);
    await lab.event('SPAWN_MESSAGE', taskId);
    const { worker_id: id } = (await lab.event('SPAWN_START', taskId)).data;
    assert.deepEqual(await terminated(child), [0, null]);
    assert.deepEqual(processesTagged(workerMarker(id)), []);
    const { reason, counted } = (await lab.event('SPAWN_RETRY', taskId)).data;
    assert.deepEqual([reason, counted], ['worker_drained', false]);
    await lab.worker();
    assert.equal(dataOf('SPAWN_COMPLETE', await lab.outcome(taskId)).attempt, 2);
  });

  it('is gone with exit code 0 also while it starts, wherever it is in that', async () => {
    const begun = performance.now();
    const first = workerProcess(lab, { KSI_CONTAINMENT: 'process_group' });
    await lab.until(() =>
      lab.seen.find(
        ({ event: { type, data } }) => type === 'WORKER_ONLINE' && (data as { pid: number }).pid === first.pid,
      ),
    );
    const start = performance.now() - begun;
    await terminated(first);
    const moments = 12;
    for (let at = 1; at <= moments; at++) {
      const child = workerProcess(lab, { KSI_CONTAINMENT: 'process_group' });
      // A signal before it listens for it ends it as it ends any process.
      await sleep((start * at) / moments);
      const [code, signal] = (await terminated(child)) as [number | null, string | null];
      assert.ok(code === 0 || signal === 'SIGTERM', `code ${code}, signal ${signal}`);
    }
    assert.deepEqual(await readdir(join(lab.dir, 'workers')), []);
  });

  it('is gone also when the broker is away', async () => {
    const idle = workerProcess(lab);
    await online();
    await lab.server.kill();
    assert.deepEqual(await terminated(idle), [0, null]);
    await lab.server.restart();
  });

  it('ends with an error, not never, when it cannot start', async () => {
    await writeFile(join(lab.dir, 'workers'), 'in the way');
    for (const containment of ['auto', 'process_group']) {
      const child = workerProcess(lab, { KSI_CONTAINMENT: containment });
      assert.deepEqual(await once(child, 'exit'), [1, null]);
    }
  });
});
