import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deleteUnaccepted } from '../../src/retention/delete-unaccepted.js';
import { acceptedRow, applyEvent, type TaskRow } from '../../src/store/projection.js';
import type { HubEvent } from '../../src/events/hub-event.js';
import { ReadModel } from '../../src/store/read-model.js';
import { TaskStore } from '../../src/store/task-store.js';
import { silent } from '../fixtures/connection.js';

const TASKS = 5_000;
/** Every so many tasks are of the queue `rare`. */
const RARE = 1_500;

const idOf = (n: number): string => `01a20820-0000-7000-8000-${String(n).padStart(12, '0')}`;

describe("a task's row", () => {
  it('has the state of its MCP servers in the attempt that ended last', () => {
    const identity = { task_id: idOf(1), session_id: idOf(1), owner: 'o' };
    const states = (status: string) => ({ ...identity, mcp_servers: [{ name: 'a', status }] });
    const event = (seq: number, type: string, data: object) =>
      ({ seq, type, timestamp: new Date(seq).toISOString(), data: data as Record<string, unknown> }) as const;
    let row = applyEvent(undefined, event(1, 'SPAWN_RETRY', { ...states('failed'), reason: 'mcp_server_failed' }));
    assert.deepEqual(row?.mcp_servers, [{ name: 'a', status: 'failed' }]);
    row = applyEvent(row, event(2, 'SPAWN_START', { ...identity, attempt: 2, worker_id: 'w' }));
    row = applyEvent(row, event(3, 'SPAWN_COMPLETE', states('connected')));
    assert.deepEqual(row?.mcp_servers, [{ name: 'a', status: 'connected' }]);
  });
});

describe('the list of tasks', () => {
  let dir: string;
  let model: ReadModel;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-model-'));
    model = new ReadModel(new TaskStore(join(dir, 'm.mdb'), 1), { incarnation: 'i', seq: 0 }, silent);
    for (let n = 0; n < TASKS; n++) {
      const queue = n % RARE === 0 ? 'rare' : 'default';
      const command = { v: 1, session_id: idOf(n), owner: 'o', priority: 'normal', prompt: 'x' } as const;
      const accepted_at = new Date(n).toISOString();
      model.accept(acceptedRow({ ...command, task_id: idOf(n), queue, accepted_at }, 'queued'));
    }
    await model.flush();
  });
  after(async () => {
    await model.stop();
    await rm(dir, { recursive: true });
  });

  it('is paged, newest first, with each task once', async () => {
    const seen: string[] = [];
    let from: string | undefined;
    do {
      const { rows, next } = await model.list({ owner: 'o', queue: 'rare' }, 3, from);
      seen.push(...rows.map(({ task_id }) => task_id));
      from = next;
    } while (from !== undefined);
    assert.deepEqual(
      seen,
      [3, 2, 1, 0].map((n) => idOf(n * RARE)),
    );
    const all = await model.list({ owner: undefined }, TASKS);
    assert.deepEqual([all.rows.length, all.next], [TASKS, undefined]);
  });

  it('writes an accepted task once, with its first event, and lists it before', async () => {
    const store = new TaskStore(join(dir, 'once.mdb'), 1);
    const written: string[][] = [];
    let wrote = (): void => undefined;
    const write = store.write.bind(store);
    store.write = async (rows, ...rest) => {
      await write(rows, ...rest);
      written.push(rows.map(({ task_id }) => task_id));
      wrote();
    };
    const once = new ReadModel(store, { incarnation: 'i', seq: 0 }, silent);
    const apply = async (n: number): Promise<void> => {
      const isWritten = new Promise<void>((resolve) => (wrote = resolve));
      const data = { task_id: idOf(n), session_id: idOf(n), owner: 'o' };
      once.apply({
        seq: n,
        id: `e${n}`,
        type: 'SPAWN_QUEUED',
        timestamp: new Date(n).toISOString(),
        data,
      } as unknown as HubEvent);
      await isWritten;
    };
    const command = {
      v: 1,
      session_id: idOf(2),
      owner: 'o',
      priority: 'normal',
      queue: 'default',
      prompt: 'x',
    } as const;
    const accepted_at = new Date(2).toISOString();
    once.accept(acceptedRow({ ...command, task_id: idOf(2), accepted_at }, 'queued'));
    await apply(1);
    assert.deepEqual([written, once.get(idOf(2))?.status], [[[idOf(1)]], 'queued']);
    await apply(2);
    assert.deepEqual(written, [[idOf(1)], [idOf(2)]]);
    once.accept(acceptedRow({ ...command, task_id: idOf(3), accepted_at }, 'queued'));
    const { rows } = await once.list({ owner: 'o' }, 3);
    assert.deepEqual(
      rows.map(({ task_id }) => task_id),
      [3, 2, 1].map(idOf),
    );
    await once.stop();
  });

  it('omits unaccepted tasks, which are deleted after an hour', async () => {
    const at = Date.parse('2026-01-01T00:00:00Z');
    const none = new ReadModel(new TaskStore(join(dir, 'n.mdb'), 1), { incarnation: 'i', seq: 0 }, silent);
    const command = { v: 1, session_id: idOf(0), owner: 'o', priority: 'normal', prompt: 'x', queue: 'q' } as const;
    const row = (n: number): TaskRow =>
      acceptedRow({ ...command, task_id: idOf(n), accepted_at: new Date(at).toISOString() }, 'queued');
    const cancelled = { status: 'cancelled', ended_at: new Date(at).toISOString() } as const;
    none.accept(row(0));
    none.accept({ ...row(1), ...cancelled, reason: 'requested' });
    none.accept({ ...row(2), ...cancelled, reason: 'not_accepted' });
    const ids = async (accepted: boolean): Promise<string[]> =>
      (await none.list({ owner: 'o', accepted }, 10)).rows.map(({ task_id }) => task_id);
    assert.deepEqual(await ids(true), [idOf(1), idOf(0)]);
    assert.deepEqual(await ids(false), [idOf(2), idOf(1), idOf(0)]);
    const deleted: string[] = [];
    const deleter = {
      task: async (id: string) => {
        deleted.push(id);
        await none.remove([id], 0);
        return undefined;
      },
    };
    const forget = (now: number): Promise<number> =>
      deleteUnaccepted({ model: none, deleter, log: silent }, now, new AbortController().signal);
    assert.equal(await forget(at + 3_599_000), 0);
    assert.equal(await forget(at + 3_601_000), 1);
    assert.equal(await forget(at + 3_602_000), 0);
    assert.deepEqual([deleted, await ids(false)], [[idOf(2)], [idOf(1), idOf(0)]]);
    await none.stop();
  });

  it('yields to other work while it searches many tasks for few matches', async () => {
    let turns = 0;
    let looking = true;
    const turn = (): void => {
      turns++;
      if (looking) setImmediate(turn);
    };
    setImmediate(turn);
    const { rows } = await model.list({ owner: undefined, queue: 'nobody' }, 1);
    looking = false;
    assert.deepEqual(rows, []);
    assert.ok(turns >= 3, `only ${turns}`);
  });
});

describe('outputs of tasks', () => {
  it('are not in lists, and can be read one by one before and after they are written to the file', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-model-'));
    const model = new ReadModel(new TaskStore(join(dir, 'm.mdb'), 1), { incarnation: 'i', seq: 0 }, silent);
    try {
      const command = { v: 1, session_id: idOf(1), owner: 'o', priority: 'normal', prompt: 'x' } as const;
      const row = acceptedRow(
        { ...command, task_id: idOf(1), queue: 'default', accepted_at: new Date(1).toISOString() },
        'queued',
      );
      model.accept({ ...row, output: { result: 'said' } });
      assert.equal(model.output(idOf(1)), '{"result":"said"}');
      assert.equal((await model.list({ owner: 'o' }, 1)).rows[0]?.output, undefined);
      await model.flush();
      assert.equal(model.output(idOf(1)), '{"result":"said"}');
      assert.equal((await model.list({ owner: 'o' }, 1)).rows[0]?.output, undefined);
      await model.remove([idOf(1)], 0);
      assert.equal(model.output(idOf(1)), undefined);
    } finally {
      await model.stop();
      await rm(dir, { recursive: true });
    }
  });
});

describe('the list of sessions', () => {
  it('shows a session that another owner continued only to its owner, once', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-model-'));
    const model = new ReadModel(new TaskStore(join(dir, 'm.mdb'), 1), { incarnation: 'i', seq: 0 }, silent);
    const accept = (n: number, session: number, owner: string): void => {
      const command = { v: 1, session_id: idOf(session), owner, priority: 'normal', prompt: 'x' } as const;
      const accepted_at = new Date(n).toISOString();
      model.accept(acceptedRow({ ...command, task_id: idOf(n), queue: 'default', accepted_at }, 'queued'));
    };
    try {
      accept(1, 101, 'ann');
      accept(2, 102, 'ann');
      accept(3, 101, 'local');
      const seen: string[] = [];
      let from: string | undefined;
      do {
        const { sessions, next } = await model.sessions('ann', 1, from);
        seen.push(...sessions.map(({ session_id: id }) => id));
        from = next;
      } while (from !== undefined && seen.length < 10);
      assert.deepEqual(seen, [idOf(101), idOf(102)]);
      assert.deepEqual((await model.sessions('local', 10)).sessions, []);
      assert.equal((await model.session(idOf(101)))?.owner, 'ann');
    } finally {
      await model.stop();
      await rm(dir, { recursive: true });
    }
  });
});

describe('the cost of deleted tasks', () => {
  const spent = { usd: 0.1, ended_on: '2026-01-02', token_id: 't', exchange_id: 'e' };
  const deleted = (seq: number, task: number, more: object = {}, day = '2026-01-02', type = 'TASK_DELETED') =>
    ({
      seq,
      id: `event-${seq}`,
      type,
      timestamp: `${day}T12:00:00Z`,
      data: { task_id: idOf(task), session_id: 's', owner: 'o', by: 'o', spent, ...more },
    }) as unknown as HubEvent;
  const DAY = { owner: 'o', day: '2026-01-02' };

  it('is counted once, however often the deletions are applied, even after an interrupted write', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-model-'));
    const open = () => new ReadModel(new TaskStore(join(dir, 'm.mdb'), 1), { incarnation: 'i', seq: 0 }, silent);
    const all = async (model: ReadModel) => [
      await model.costOfDay(DAY),
      await model.costOfDay({ ...DAY, tokenId: 't' }),
      await model.costOfSession('s'),
      await model.deletedCosts({ exchangeId: 'e', owner: 'o' }),
    ];
    const events = [
      deleted(5, 1),
      deleted(6, 2, { spent: { ...spent, token_id: 'other' } }),
      // Of a deletion that was repeated: the cost is in the first event.
      deleted(7, 2, { spent: undefined }),
    ];
    let model = open();
    try {
      for (const event of events) model.applyDeletion(event);
      assert.deepEqual(await all(model), [0.2, 0.1, 0.2, 0.2]);
      await model.stop();
      // The file has the counters, and says that it is at 0: all comes again.
      model = open();
      for (const event of events) model.applyDeletion(event);
      assert.deepEqual(await all(model), [0.2, 0.1, 0.2, 0.2]);
    } finally {
      await model.stop();
      await rm(dir, { recursive: true });
    }
  });

  it('is kept for as long as it can be queried', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-model-'));
    const model = new ReadModel(new TaskStore(join(dir, 'm.mdb'), 10), { incarnation: 'i', seq: 0 }, silent);
    const sums = async () => [
      await model.costOfDay(DAY),
      await model.deletedCosts({ exchangeId: 'e' }),
      await model.costOfSession('s'),
    ];
    const pass = (seq: number, day: string) =>
      model.applyDeletion(deleted(seq, seq, { session_id: 'another', spent: undefined }, day));
    try {
      model.applyDeletion(deleted(1, 1));
      pass(2, '2026-01-03');
      assert.deepEqual(await sums(), [0.1, 0.1, 0.1]);
      pass(3, '2026-01-04');
      assert.deepEqual(await sums(), [0, 0.1, 0.1]);
      pass(4, '2026-01-13');
      assert.deepEqual(await sums(), [0, 0, 0.1]);
      model.applyDeletion(deleted(5, 1, {}, '2026-01-13', 'SESSION_DELETED'));
      assert.deepEqual(await sums(), [0, 0, 0]);
    } finally {
      await model.stop();
      await rm(dir, { recursive: true });
    }
  });
});
