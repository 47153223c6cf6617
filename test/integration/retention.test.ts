import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { v7 as uuidv7 } from 'uuid';
import { BUCKET, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { RetentionPreview, RetentionRun, RetentionView } from '../../contracts/retention/retention.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { Folders } from '../../workers/claude/folders.js';
import { WorkspaceRetention } from '../../workers/disk/workspace-retention.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { silent } from '../fixtures/connection.js';
import { WorkerLab } from '../fixtures/worker.js';

const DAY_MS = 86_400_000;

interface Made {
  readonly task_id: string;
  readonly session_id: string;
}

describe('retention', () => {
  let lab: ApiLab;
  let here: AgentsOver;
  let workers: WorkerLab | undefined;
  before(async () => {
    lab = await ApiLab.start({
      KSI_RETENTION: 'off',
      KSI_RETENTION_TRANSCRIPTS_BYTES: '100000',
      KSI_QUEUES: 'default,other',
    });
    here = new AgentsOver(() => lab.url, TOKEN);
  });
  after(async () => {
    await lab.stopApi();
    await workers?.stop();
    await lab.stop();
  });

  /** An ended task, by events of that age. */
  const made = async (
    days: number,
    {
      session_id = uuidv7(),
      owner = 'local',
      ...more
    }: { session_id?: string; owner?: string; agent_id?: string } = {},
  ): Promise<Made> => {
    const at = Date.now() - days * DAY_MS;
    const clock = { now: () => at };
    const task = { task_id: uuidv7({ msecs: at }), session_id, owner, ...more };
    const states = [
      [
        newEvent(clock, 'SPAWN_QUEUED', { ...task, queue: 'default', priority: 'normal', prompt_preview: 'x' }),
        'queued',
      ],
      [newEvent(clock, 'SPAWN_COMPLETE', { ...task, attempt: 1, n: 2, output: { result: 'x' } }), 'complete'],
    ] as const;
    for (const [event, token] of states)
      await lab.broker.publisher.publish(eventPublication(event, SUBJECT.taskState(task.task_id, token)));
    while ((await lab.request(`/tasks/${task.task_id}`)).status === 404);
    while ((await lab.task(task.task_id)).status !== 'completed');
    return task;
  };
  const isThere = async ({ task_id: id }: Made): Promise<boolean> => (await lab.request(`/tasks/${id}`)).status === 200;
  const transcript = (sessionId: string, bytes: number): Promise<unknown> =>
    lab.broker.publisher.publish({
      subject: SUBJECT.transcript(sessionId),
      payload: 'x'.repeat(bytes),
      headers: { [HEADER.owner]: 'local' },
    });
  const ask = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await here.ask(method, path, body);
    assert.equal(answer.status, 200, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer.body as T;
  };
  const run = (): Promise<RetentionRun> => ask('POST', '/retention/run');

  it('deletes old tasks and unused sessions, and nothing that is newer, open or an agent’s', async () => {
    const { session_id: ofAgent = '' } = await here.register({ agent_id: 'bob', kind: 'managed' });
    const kept = [
      await made(29),
      // The newest tasks of a session of several.
      await made(40, { session_id: 'eeeeeeee-0000-4000-8000-000000000001' }),
      await made(60, { session_id: 'eeeeeeee-0000-4000-8000-000000000001' }),
      await made(200, { session_id: ofAgent, agent_id: 'bob' }),
    ];
    const busy = await made(100);
    const open = await lab.spawn({ prompt: 'open', session_id: busy.session_id });
    const gone = [
      await made(31),
      await made(70, { session_id: 'eeeeeeee-0000-4000-8000-000000000001' }),
      await made(91, { session_id: 'eeeeeeee-0000-4000-8000-000000000002' }),
      await made(95, { session_id: 'eeeeeeee-0000-4000-8000-000000000002' }),
    ];
    await transcript('eeeeeeee-0000-4000-8000-000000000002', 1_000);
    const preview = await ask<RetentionPreview>('GET', '/retention/preview');
    assert.deepEqual([preview.sessions, preview.tasks, preview.more], [1, 2, false]);
    assert.deepEqual(
      preview.items.map(({ kind, id }) => ({ kind, id })),
      [
        { kind: 'session', id: 'eeeeeeee-0000-4000-8000-000000000002' },
        { kind: 'task', id: gone[1]?.task_id },
        { kind: 'task', id: gone[0]?.task_id },
      ],
    );
    assert.equal(preview.items[0]?.bytes, 1_000);
    for (const task of gone) assert.ok(await isThere(task), 'a dry run deletes nothing');

    assert.deepEqual(await run(), { tasks: 2, sessions: 1, more: false });
    for (const task of gone) assert.equal(await isThere(task), false);
    for (const task of [...kept, busy, open]) assert.ok(await isThere(task));
    assert.deepEqual(await run(), { tasks: 0, sessions: 0, more: false });
  });

  it('goes by an owner’s own shorter ages', async () => {
    const [mine, theirs] = [await made(10), await made(10, { owner: 'ann' })];
    assert.deepEqual((await ask<RetentionPreview>('GET', '/retention/preview?tasks_s=864000')).tasks, 3);
    const shown = await ask<RetentionView>('PUT', '/retention', { tasks_s: 7 * 86_400, sessions_s: 400 * 86_400 });
    assert.deepEqual(shown.effective, { tasks_s: 7 * 86_400, sessions_s: 7_776_000 });
    await run();
    assert.deepEqual([await isThere(mine), await isThere(theirs)], [false, true]);
    assert.deepEqual((await ask<RetentionView>('PUT', '/retention', {})).own, {});
    assert.equal((await here.ask('PUT', '/retention', { tasks_s: 1 })).status, 400);
  });

  it('deletes the sessions that were not used for longest while transcripts take too much', async () => {
    const sessions: Made[] = [];
    for (let n = 0; n < 4; n++) {
      const session = await made(20 - n);
      await transcript(session.session_id, 30_000);
      sessions.push(session);
    }
    assert.ok((await run()).sessions > 0);
    const { state } = await lab.broker.jsm.streams.info(STREAM.transcripts);
    assert.ok(state.bytes <= 100_000, `${state.bytes} bytes are left`);
    assert.deepEqual(await Promise.all(sessions.map(isThere)), [false, true, true, true]);
  });

  it('removes unused working folders from a worker’s disk, and none in which something runs', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-folders-'));
    const folders = new Folders(dir, 'w_test');
    await folders.start();
    try {
      const { session_id: running } = await lab.spawn({ prompt: 'runs' });
      const names = [uuidv7(), running, uuidv7(), uuidv7()];
      const [old, , fresh, large] = names as [string, string, string, string];
      for (const [index, name] of names.entries()) {
        const folder = join(dir, 'workspaces', name);
        await mkdir(folder);
        await writeFile(join(folder, 'file'), 'x'.repeat(name === large ? 500_000 : 1));
        const at = new Date(Date.now() - ([40, 40, 10, 20][index] ?? 0) * DAY_MS);
        await utimes(folder, at, at);
      }
      const there = (): boolean[] => names.map((name) => existsSync(join(dir, 'workspaces', name)));
      const sweep = (bytes: number): Promise<number> =>
        new WorkspaceRetention({
          broker: lab.broker,
          folders,
          config: {
            KSI_RETENTION: 'on',
            KSI_RETENTION_WORKSPACES_S: 30 * 86_400,
            KSI_RETENTION_WORKSPACES_BYTES: bytes,
          },
          log: silent,
        }).sweep();
      assert.equal(await sweep(0), 1);
      assert.deepEqual(there(), [false, true, true, true], `${old} is old`);
      assert.equal(await sweep(100_000), 1);
      assert.deepEqual(there(), [false, true, true, false], `${fresh} is used`);
      // A run that comes while the folder is moved away gets it back.
      assert.equal(await folders.retire(fresh, () => Promise.resolve(false)), false);
      assert.ok(existsSync(join(dir, 'workspaces', fresh, 'file')));
    } finally {
      await folders.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('shows the sizes of working folders in a dry run, and none while a worker is silent', async () => {
    const { session_id: id } = await made(300);
    const { session_id: none } = await made(301);
    const sizes = async (): Promise<(number | undefined)[]> => {
      const { items } = await ask<RetentionPreview>('GET', '/retention/preview?sessions_s=25000000');
      return [id, none].map((each) => items.find((item) => item.id === each)?.workspace_bytes);
    };
    assert.deepEqual(await sizes(), [undefined, undefined], 'no worker runs');
    workers = await WorkerLab.start({ KSI_QUEUES: 'default,other' }, lab.server);
    await mkdir(join(workers.dir, 'workspaces', id, 'docs'), { recursive: true });
    await writeFile(join(workers.dir, 'workspaces', id, 'docs', 'file'), 'x'.repeat(100_000));
    // They share a host and a folder, which counts once. Neither serves the queue of the other tests.
    const shared = { config: { KSI_QUEUES: 'other' } };
    await workers.worker(shared);
    await workers.worker(shared);
    const [size = 0, empty] = await sizes();
    assert.ok(size >= 100_000 && size < 200_000, `${size} bytes`);
    assert.equal(empty, 0);
    const there = await lastBySubject(lab.broker, `KV_${BUCKET.workers}`, SUBJECT.workersAll);
    await lab.broker.publisher.publish({ subject: SUBJECT.worker('mute', 'mute'), payload: there?.data ?? '' });
    assert.deepEqual(await sizes(), [undefined, undefined], 'one of three workers is silent');
  });
});
