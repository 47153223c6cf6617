import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tellsOfDamage } from '../chaos/broker-logs.js';
import { CHECKS } from '../chaos/checks/index.js';
import { planFaults } from '../chaos/fault-plan.js';
import { figuresOf } from '../chaos/figures.js';
import type { History, Post, Reader, StoredRow } from '../chaos/history.js';
import { chaosOptions } from '../chaos/options.js';
import { seededRandom } from '../fixtures/random.js';

type Row = Omit<StoredRow, 'seq' | 'subject' | 'at'> & Partial<Pick<StoredRow, 'at'>>;

const A = { taskId: 'a', sessionId: 's' };
const B = { taskId: 'b', sessionId: 's' };
const queued = (task: typeof A, key = `k-${task.taskId}`): Row => ({
  type: 'SPAWN_QUEUED',
  ...task,
  text: `[#${key}] do`,
});
const start = (task: typeof A, attempt = 1, workerId = 'w1'): Row => ({
  type: 'SPAWN_START',
  ...task,
  attempt,
  n: 1,
  workerId,
});
const output = (task: typeof A, n: number, attempt = 1): Row => ({ type: 'SPAWN_MESSAGE', ...task, attempt, n });
const complete = (task: typeof A, n: number, attempt = 1): Row => ({
  type: 'SPAWN_COMPLETE',
  ...task,
  attempt,
  n,
  text: `You said: [#k-${task.taskId}]`,
});
const lostWorker = (task: typeof A, attempt = 1): Row => ({
  type: 'SPAWN_RETRY',
  ...task,
  attempt,
  reason: 'worker_lost',
});
const accepted = (task: typeof A, further: Partial<Post> = {}): Post => ({
  key: `k-${task.taskId}`,
  client: 'c',
  session: 'name',
  idempotent: false,
  fails: false,
  api: 'api-1',
  askedAt: 0,
  answeredAt: 1,
  result: 'accepted',
  ...task,
  ...further,
});

/** One task after the other in one session, the first taken over once, read by two. All is well. */
const ROWS: readonly Row[] = [
  queued(A),
  start(A),
  output(A, 2),
  queued(B),
  lostWorker(A),
  start(A, 2, 'w2'),
  output(A, 2, 2),
  complete(A, 3, 2),
  start(B),
  complete(B, 2),
];

const stored = (rows: readonly Row[]): StoredRow[] =>
  rows.map((row, index) => ({ subject: '', at: index * 100, ...row, seq: index + 1 }));

function history(rows: readonly Row[] = ROWS, further: Partial<History> = {}): History {
  const all = stored(rows);
  const reader = (name: string, taskId?: string): Reader => ({
    name,
    connections: 2,
    complaints: [],
    seqs: all.filter((row) => taskId === undefined || row.taskId === taskId).map(({ seq }) => seq),
    ...(taskId === undefined ? {} : { taskId }),
  });
  return {
    posts: [accepted(A), accepted(B)],
    cancels: [],
    stored: all,
    readers: [reader('all'), reader('one', 'a')],
    faults: [],
    leftovers: [],
    commandsLeft: [],
    damage: [],
    ...further,
  };
}

/** The names of the checks that find something. */
const failing = (of: History): string[] =>
  Object.entries(CHECKS)
    .filter(([, { violations }]) => violations(of).length > 0)
    .map(([name]) => name);

const without = (index: number): Row[] => ROWS.toSpliced(index, 1);
const withRow = (at: number, row: Row): Row[] => ROWS.toSpliced(at, 0, row);
const [all, one] = history().readers;
const readBy = (change: (seqs: readonly number[]) => number[]): Partial<History> => ({
  readers: [{ name: 'all', connections: 2, complaints: [], seqs: change(all?.seqs ?? []) }],
});

/** As nats-server 2.15.1 logs it. */
const DAMAGE = '[ERR] Error recreating stream "KSI_ENDED": s2: corrupt/unsupported input';

describe('chaos: the checks', () => {
  it("recognise a damaged stream from the broker's log", () => {
    assert.equal(tellsOfDamage(DAMAGE), true);
    assert.equal(
      tellsOfDamage("[WRN] Error applying entries to 'KSI > KSI_EVENTS': s2: corrupt/unsupported input"),
      true,
    );
    assert.equal(tellsOfDamage("[INF] Restored 3,000 messages for stream 'KSI > KSI_EVENTS' in 3ms"), false);
  });

  it('find nothing in a healthy run', () => {
    assert.deepEqual(failing(history()), []);
  });

  const CASES: readonly [string, History, readonly (keyof typeof CHECKS)[]][] = [
    ['an accepted task of which nothing is known', history(ROWS.slice(0, 3).concat(ROWS.slice(4, 8))), ['lost']],
    ['an accepted task that was only queued, and is queued no more', history(ROWS.slice(0, 8)), ['lost']],
    [
      'an accepted task that was refused afterwards',
      history([...ROWS.slice(0, 8), { type: 'SPAWN_CANCELLED', ...B, reason: 'not_accepted' }]),
      ['lost'],
    ],
    ['a task that began and did not end', history(ROWS.slice(0, 9)), ['lost', 'unfinished']],
    [
      'a task that still stands in the queue',
      history(ROWS, { commandsLeft: ['ksi.commands.spawn.q.next.s'] }),
      ['unfinished'],
    ],
    ['two outcomes', history([...ROWS, { type: 'SPAWN_CANCELLED', ...B }]), ['twoOutcomes']],
    ['an event after the outcome', history([...ROWS, output(B, 3)]), ['twoOutcomes', 'staleWrites']],
    ['two runs of a session', history(withRow(3, start(B))), ['overlaps', 'staleWrites']],
    ['an attempt while the one before has no end', history(without(4)), ['overlaps']],
    ['the order of a session turned round', history(ROWS, { posts: [accepted(B), accepted(A)] }), ['disorder']],
    [
      'an output of an attempt that was taken over',
      history(withRow(7, output(A, 3, 1))),
      ['staleWrites', 'gapsInAttempts'],
    ],
    ['an output between two attempts', history(withRow(5, output(A, 3, 1))), ['staleWrites']],
    ['an outcome of an older attempt', history(ROWS.with(7, complete(A, 3, 1))), ['staleWrites']],
    ['a gap in an attempt', history(ROWS.with(7, complete(A, 4, 2))), ['gapsInAttempts']],
    ['a repeat in an attempt', history(withRow(7, output(A, 2, 2))), ['gapsInAttempts']],
    [
      'a gap in what a reader got',
      history(
        ROWS,
        readBy((seqs) => seqs.toSpliced(4, 1)),
      ),
      ['readersMissNothing'],
    ],
    [
      'a missing end of what a reader got',
      history(
        ROWS,
        readBy((seqs) => seqs.slice(0, -1)),
      ),
      ['readersMissNothing'],
    ],
    [
      'a repeat in what a reader got',
      history(
        ROWS,
        readBy((seqs) => seqs.toSpliced(4, 0, 4)),
      ),
      ['readersMissNothing'],
    ],
    [
      'disorder in what a reader got',
      history(
        ROWS,
        readBy((seqs) => seqs.toReversed()),
      ),
      ['readersMissNothing'],
    ],
    [
      'an event that is not stored',
      history(
        ROWS,
        readBy((seqs) => [...seqs, 99]),
      ),
      ['readersMissNothing'],
    ],
    [
      'a gap in what the reader of a task got',
      history(ROWS, {
        readers: [{ name: 'one', taskId: 'a', connections: 1, complaints: [], seqs: one?.seqs.slice(1) ?? [] }],
      }),
      ['readersMissNothing'],
    ],
    [
      'a cursor that was refused',
      history(ROWS, { readers: [{ name: 'all', connections: 1, complaints: ['400'], seqs: all?.seqs ?? [] }] }),
      ['readersMissNothing'],
    ],
    [
      'a request that became two tasks',
      history([...ROWS.slice(0, 3), queued(B, 'k-a'), ...ROWS.slice(4)], {
        posts: [accepted(A), accepted(A)].map((post) => ({ ...post, idempotent: true })),
      }),
      ['doubled'],
    ],
    [
      'an idempotency key with two answers',
      history(ROWS, {
        posts: [accepted(A), accepted(B, { key: 'k-a' })].map((post) => ({ ...post, idempotent: true })),
      }),
      ['doubled', 'wrongAnswers'],
    ],
    ["another's answer", history(ROWS.with(9, { ...complete(B, 2), text: 'You said: [#k-a]' })), ['wrongAnswers']],
    [
      'a cancelled task that completed',
      history(ROWS, { cancels: [{ taskId: 'b', askedAt: 0, answeredAt: 1, status: 200 }] }),
      ['cancelledAnyway'],
    ],
    [
      'a task that failed though nothing was wrong with it',
      history(ROWS.with(9, { type: 'SPAWN_ERROR', ...B, attempt: 1, n: 2, reason: 'claude_crashed' })),
      ['failedAnyway'],
    ],
    ['a process left', history(ROWS, { leftovers: [{ what: 'after the end', pids: [1] }] }), ['leftProcesses']],
    ['a damaged stream', history(ROWS, { damage: [`nats-1.log: ${DAMAGE}`] }), ['damagedStreams']],
  ];
  for (const [what, of, expected] of CASES)
    it(`find ${what}`, () => {
      assert.deepEqual(failing(of).toSorted(), expected.toSorted());
    });

  it('each fail in at least one case', () => {
    const proven = new Set(CASES.flatMap(([, , expected]) => expected));
    assert.deepEqual(
      Object.keys(CHECKS).filter((name) => !proven.has(name as keyof typeof CHECKS)),
      [],
    );
  });

  it('recognise a task that failed because its workers were lost', () => {
    const given: Row = { type: 'SPAWN_ERROR', ...A, attempt: 2, n: 3, givenUp: 'workers_lost' };
    assert.deepEqual(failing(history(ROWS.toSpliced(7, 1, lostWorker(A, 2), given))), []);
  });
});

describe('chaos: plan, figures and options', () => {
  it('every kind of fault hits every role, even in a short run, and a seed repeats the plan', () => {
    for (let seed = 0; seed < 50; seed++) {
      const plan = planFaults(seededRandom(seed), 40);
      assert.equal(new Set(plan.map(({ kind, role }) => `${kind} ${role}`)).size, 6, `seed ${seed}`);
      assert.ok(plan.every(({ afterMs }) => afterMs < 40_000));
      assert.deepEqual(planFaults(seededRandom(seed), 40), plan);
    }
  });

  it('a takeover is measured from the fault to the next start', () => {
    const rows: Row[] = [{ type: 'WORKER_ONLINE', workerId: 'w1', pid: 7, at: 0 }, ...ROWS];
    const fault = { kind: 'kill', role: 'worker', process: 'worker-1', pid: 7, at: 450 } as const;
    const { takeovers, outcomes } = figuresOf(history(rows, { faults: [fault] }));
    assert.deepEqual(takeovers, { kill: [150], stop: [], withoutBroker: [] });
    assert.deepEqual(outcomes, { SPAWN_COMPLETE: 2 });
  });

  it('options out of bounds are refused with an explanation', () => {
    assert.throws(() => chaosOptions(['--seconds', '1']), /--seconds 1/);
    assert.throws(() => chaosOptions(['--seed', 'x']), /--seed x/);
    assert.throws(() => chaosOptions(['--servers', '2']), /--servers 2/);
    assert.throws(() => chaosOptions(['--nonsense']), /nonsense/);
    assert.equal(chaosOptions(['--help']), undefined);
    assert.deepEqual(chaosOptions(['--seed', '7'])?.seed, 7);
  });
});
