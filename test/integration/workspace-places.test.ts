import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { v4 as uuidv4 } from 'uuid';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { WorkspaceView, WorkspaceWaiter } from '../../contracts/tasks/workspace.js';
import { leaveWorkspace } from '../../src/broker/workspace-places.js';
import { changePlaces, readPlaces } from '../../src/broker/workspace-records.js';
import { WorkspacePlace } from '../../workers/attempt/workspace-place.js';
import { findContainment } from '../../workers/claude/containment.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const NOBODY = { v: FORMAT_VERSION, writers: [], waiting: [] };

describe('tasks that write in one workspace', async () => {
  const containment = await findContainment();
  const noSandbox = containment.kind === 'sandbox' ? false : 'this host allows no sandbox';
  let lab: WorkerLab;
  let api: ApiOn;
  let site: string;
  before(async () => {
    site = await realpath(await mkdtemp(join(tmpdir(), 'ksi-places-')));
    await mkdir(join(site, 'docs'));
    const roots = `site=${site},inner=${site}/docs,twin=${site}`;
    const env = { KSI_WORKSPACES: roots, KSI_LEASE_S: '3' };
    lab = await WorkerLab.start({ ...env, KSI_CONCURRENCY: '2' });
    api = await startApiOn(lab.server.url, env);
    await lab.worker({ containment });
    await lab.worker();
  });
  after(async () => {
    await api.stop();
    await lab.stop();
    await rm(site, { recursive: true, force: true });
  });

  const post = async (prompt: string, workspace = 'site', command: object = {}, queue = 'default'): Promise<string> =>
    (await lab.post(prompt, { queue, command: { workspace, policy: { max_attempts: 1 }, ...command } })).taskId;
  const waits = (id: string): Promise<unknown> =>
    lab.event('SPAWN_WAITING', id, ({ reason }) => reason === 'workspace_busy');
  const cancel = async (id: string): Promise<void> =>
    assert.equal((await api.call('POST', `/tasks/${id}/cancel`)).status, 200);
  const shown = async (): Promise<WorkspaceView[]> =>
    (await api.call('GET', '/workspaces')).body['items'] as WorkspaceView[];
  const untilNobodyWrites = async (): Promise<void> => {
    while ((await readPlaces(lab.broker, 'site')).places.writers.length > 0) await sleep(20);
  };
  /** A task that reads in `twin/docs`, on the worker with a sandbox. */
  const untilOneReads = async (): Promise<string> => {
    for (;;) {
      const id = await post('[[hang]]', 'twin/docs', { workspace_access: 'read' });
      const said = await lab.until(() =>
        lab.of(id).find(({ type }) => ['SPAWN_MESSAGE', 'SPAWN_ERROR'].includes(type)),
      );
      if (said.type === 'SPAWN_MESSAGE') return id;
    }
  };
  const types = (id: string): string[] =>
    lab
      .of(id)
      .map(({ type }) => type)
      .filter((type) => type !== 'SPAWN_MESSAGE');
  const seqOf = (id: string, type: string): number =>
    lab.seen.find(({ subject, event }) => subject.includes(id) && event.type === type)?.seq ?? assert.fail(type);

  it('run one after the other over all workers, and hold no slot while they wait', async () => {
    const ends = lab.ends.length;
    const first = await post('[[hang]]');
    await lab.event('SPAWN_START', first);
    const rest: string[] = [];
    for (const workspace of ['site/docs', 'site', 'site', 'site/docs']) {
      rest.push(await post('x', workspace));
      await waits(rest.at(-1) ?? '');
    }
    // As many as there are slots.
    await Promise.all(
      (await Promise.all([1, 2, 3, 4].map(() => lab.post('elsewhere')))).map((t) => lab.outcome(t.taskId)),
    );
    const [whole, docs] = await shown();
    const waiting = (of: WorkspaceView | undefined) => of?.waiting.map(({ task_id: id }) => id);
    assert.deepEqual([docs?.workspace, docs?.writers, waiting(docs)], ['site/docs', [], [rest[0], rest[3]]]);
    assert.deepEqual([whole?.workspace, whole?.limit, waiting(whole)], ['site', 1, [rest[1], rest[2]]]);
    assert.deepEqual(
      whole?.writers.map(({ task_id: id }) => id),
      [first],
    );
    await cancel(rest[2] ?? '');
    await cancel(first);
    for (const id of rest) await lab.outcome(id);
    for (const [at, id] of [rest[0], rest[1], rest[3]].entries()) {
      assert.deepEqual(types(id ?? ''), ['SPAWN_QUEUED', 'SPAWN_WAITING', 'SPAWN_START', 'SPAWN_COMPLETE']);
      const before = [first, rest[0], rest[1]][at] ?? '';
      const end = seqOf(before, at === 0 ? 'SPAWN_CANCELLED' : 'SPAWN_COMPLETE');
      assert.ok(seqOf(id ?? '', 'SPAWN_START') > end, 'one begins when the one before it has ended');
    }
    // Each was delivered once, and once more when it had its place.
    assert.equal(lab.ends.slice(ends).filter((end) => end === 'given_back').length, 4);
    await untilNobodyWrites();
    assert.deepEqual(await shown(), []);
  });

  it('run one after the other though they name one folder by roots that overlap', async () => {
    const first = await post('[[hang]]', 'inner');
    await lab.event('SPAWN_START', first);
    const rest: string[] = [];
    for (const workspace of ['twin/docs', 'site', 'inner', 'twin']) {
      rest.push(await post('x', workspace));
      await waits(rest.at(-1) ?? '');
    }
    assert.deepEqual(
      (await shown()).map(({ workspace, writers, waiting }) => [workspace, writers.length, waiting.length]),
      [
        ['site', 0, 2],
        ['site/docs', 1, 2],
      ],
    );
    await cancel(first);
    for (const id of rest) dataOf('SPAWN_COMPLETE', await lab.outcome(id));
    for (const [at, id] of rest.slice(1).entries())
      assert.ok(seqOf(id, 'SPAWN_START') > seqOf(rest[at] ?? '', 'SPAWN_COMPLETE'));
    await untilNobodyWrites();
  });

  it('run although the record of their places is bad; one whose session has a bad workspace fails', async () => {
    const put = (subject: string): Promise<unknown> => lab.broker.publisher.publish({ subject, payload: '{' });
    await put(SUBJECT.places('site'));
    assert.equal((await api.call('GET', '/queues')).status, 200);
    assert.equal((await lab.outcome(await post('x'))).type, 'SPAWN_COMPLETE');
    const sessionId = uuidv4();
    const command = { workspace: 'site', policy: { max_attempts: 1 } };
    await lab.outcome((await lab.post('x', { sessionId, command })).taskId);
    await put(SUBJECT.sessionWorkspace(sessionId));
    const { taskId } = await lab.post('x', { sessionId, command });
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(taskId)).error.code, 'workspace_unavailable');
  });

  it('run beside those that only read, which cannot write', { skip: noSandbox }, async () => {
    const writer = await post('[[hang]]');
    await lab.event('SPAWN_START', writer);
    const outcomes: { type: string; code: string | undefined }[] = [];
    // One of the two workers has no sandbox, and refuses.
    while (!['SPAWN_COMPLETE', 'SPAWN_ERROR'].every((type) => outcomes.some((each) => each.type === type))) {
      const { type, data } = await lab.outcome(await post('x', 'site', { workspace_access: 'read' }));
      outcomes.push({ type, code: (data as { error?: { code: string } }).error?.code });
    }
    assert.ok(outcomes.every(({ code = 'workspace_unavailable' }) => code === 'workspace_unavailable'));
    const wrote = await lab.outcome(await post('[[flaky:0]]', 'site', { workspace_access: 'read' }));
    assert.equal(wrote.type, 'SPAWN_ERROR');
    assert.ok(!existsSync(join(site, '.flaky')));
    const reader = await untilOneReads();
    const ids = (tasks: WorkspaceView['readers'] = []) => tasks.map(({ task_id: id }) => id);
    while ((await shown()).length < 2) await sleep(20);
    const [whole, docs] = await shown();
    assert.deepEqual([whole?.workspace, ids(whole?.writers), ids(whole?.readers)], ['site', [writer], []]);
    assert.deepEqual([docs?.workspace, ids(docs?.writers), ids(docs?.readers)], ['site/docs', [], [reader]]);
    await cancel(reader);
    await lab.outcome(reader);
    await cancel(writer);
    assert.equal((await lab.outcome(await post('[[flaky:0]]'))).type, 'SPAWN_COMPLETE');
    assert.ok(existsSync(join(site, '.flaky')));
  });

  it('get the place of one whose worker was killed, and not before it is off the queue', async () => {
    const killed = workerProcess(lab, { KSI_QUEUES: 'lost', KSI_WORKSPACES: `site=${site}`, KSI_LEASE_S: '3' });
    const other = await startApiOn(lab.server.url, { KSI_QUEUES: 'default,lost', KSI_LEASE_S: '3' });
    const first = await post('[[hang]]', 'site', {}, 'lost');
    await lab.event('SPAWN_START', first);
    const second = await post('x');
    await waits(second);
    killed.kill('SIGKILL');
    assert.equal((await other.call('POST', `/tasks/${first}/cancel`)).status, 200);
    assert.ok(!types(second).includes('SPAWN_START'), 'what the other has started may be alive');
    await lab.worker({ config: { KSI_QUEUES: 'lost' } });
    dataOf('SPAWN_COMPLETE', await lab.outcome(second));
    await other.stop();
  });

  it('lose their attempt with their place', async () => {
    const id = await post('[[hang]]');
    await lab.event('SPAWN_START', id);
    const ends = lab.ends.length;
    await changePlaces(lab.broker, 'site', async () => NOBODY);
    // The end of an earlier task's run may still come in between.
    await lab.until(() => lab.ends.slice(ends).includes('fenced') || undefined);
    await lab.event('SPAWN_START', id, ({ attempt }) => attempt === 2);
    await cancel(id);
    await lab.outcome(id);
  });

  it('start Claude only if they still have their place once their start is stored', async (t) => {
    await untilNobodyWrites();
    const enter = Reflect.get(WorkspacePlace.prototype, 'enter');
    let stoodStill = false;
    t.mock.method(WorkspacePlace.prototype, 'enter', async function (this: WorkspacePlace, signal: AbortSignal) {
      const entered = await enter.call(this, signal);
      if (!stoodStill) await changePlaces(lab.broker, 'site', async () => NOBODY);
      stoodStill = true;
      return entered;
    });
    const id = await post('x');
    assert.equal(dataOf('SPAWN_COMPLETE', await lab.outcome(id)).attempt, 2);
    assert.deepEqual(types(id), ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_RETRY', 'SPAWN_START', 'SPAWN_COMPLETE']);
    const attempts = lab.of(id).filter(({ type }) => type === 'SPAWN_MESSAGE');
    assert.deepEqual([...new Set(attempts.map(({ data }) => (data as { attempt: number }).attempt))], [2]);
  });

  it('make room for the next one however many that waited are gone', async () => {
    const waiter = (): WorkspaceWaiter => ({
      task_id: uuidv4(),
      session_id: uuidv4(),
      owner: 'local',
      workspace: 'site',
      since: new Date().toISOString(),
    });
    await untilNobodyWrites();
    const writer = waiter();
    const waiters = Array.from({ length: 120 }, () => waiter());
    await changePlaces(lab.broker, 'site', async () => ({
      ...NOBODY,
      writers: [{ ...writer, until: Date.now() + 60_000 }],
      waiting: waiters,
    }));
    await leaveWorkspace(lab.broker, writer, () => 1);
    assert.deepEqual((await readPlaces(lab.broker, 'site')).places, NOBODY);
  });
});
