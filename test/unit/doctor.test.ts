import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TASK_STATES, type TaskStatus } from '../../contracts/tasks/states.js';
import { machineFinding, serverFinding } from '../../src/doctor/clocks.js';
import { spaceFinding } from '../../src/doctor/disk.js';
import { Invariants, type Rule } from '../../src/doctor/invariants.js';
import { findings } from '../../src/doctor/sections.js';
import { storageOf } from '../../src/doctor/servers.js';
import { behind, differences, differentCopies, type Copies } from '../../src/doctor/streams.js';
import { workerFindings } from '../../src/doctor/workers.js';
import { timeLeft } from '../../src/doctor/time-left.js';
import type { Finding } from '../../src/doctor/finding.js';
import type { WorkerView } from '../../contracts/tasks/workers.js';

/** A history in short: `task state attempt/n` or `task output attempt/n`, one event each; a task is of the session of its first letter. */
function broken(...history: string[]): [Rule, string][] {
  const invariants = new Invariants();
  history.forEach((line, index) => {
    const [task = '', what = '', numbers] = line.split(' ');
    const [attempt, n] = numbers?.split('/').map(Number) ?? [];
    const subject =
      what === 'output'
        ? `ksi.events.task.${task}.output`
        : `ksi.events.task.${task}.state.${TASK_STATES[what as TaskStatus].token}`;
    const data = {
      session_id: task[0],
      ...(attempt === undefined ? {} : { attempt }),
      ...(n === undefined ? {} : { n }),
    };
    invariants.add({ seq: index + 1, subject, timestamp: '2026-01-01T00:00:00Z', data });
  });
  return invariants.violations.map(({ rule, taskId }) => [rule, taskId]);
}

describe('the invariants over stored events', () => {
  it('hold for valid histories', () => {
    for (const history of [
      ['a queued', 'a running 1/1', 'a output 1/2', 'a completed 1/3'],
      ['a queued', 'a waiting', 'a running 1/1', 'a failed 1/2'],
      ['a running 1/1', 'a completed 1/2'],
      ['a queued', 'a running 1/1', 'a output 1/2', 'a retrying 1', 'a running 2/1', 'a completed 2/2'],
      ['a queued', 'a cancelled'],
      ['a cancelled'],
      ['a queued', 'a expired'],
      ['a1 queued', 'a2 queued', 'a1 running 1/1', 'a1 completed 1/2', 'a2 running 1/1', 'a2 completed 1/2'],
      ['a queued', 'b queued', 'a running 1/1', 'b running 1/1', 'b completed 1/2', 'a completed 1/2'],
      // Begun before what is kept.
      ['a output 1/7', 'a completed 1/8'],
    ])
      assert.deepEqual(broken(...history), [], history.join(', '));
  });

  it('are violated by each invalid history', () => {
    const cases: [Rule, string[]][] = [
      ['two outcomes', ['a queued', 'a running 1/1', 'a completed 1/2', 'a failed 1/3']],
      ['after the outcome', ['a queued', 'a cancelled', 'a running 1/1']],
      ['transition', ['a queued', 'a retrying 1']],
      ['transition', ['a queued', 'a running 1/1', 'a running 2/1']],
      ['numbering', ['a queued', 'a running 1/1', 'a output 1/3']],
      ['numbering', ['a queued', 'a running 1/1', 'a output 1/2', 'a output 1/2']],
      ['stale attempt', ['a queued', 'a running 1/1', 'a retrying 1', 'a output 1/2']],
      ['stale attempt', ['a queued', 'a running 1/1', 'a retrying 1', 'a running 2/1', 'a output 1/2']],
      ['stale attempt', ['a queued', 'a running 1/1', 'a completed 1/2', 'a output 1/3']],
      ['two runs of a session', ['a1 queued', 'a2 queued', 'a1 running 1/1', 'a2 running 1/1']],
    ];
    for (const [rule, history] of cases)
      assert.ok(
        broken(...history).some(([found]) => found === rule),
        `${rule}: ${history.join(', ')}`,
      );
  });

  it('track which tasks are open, and when the others ended', () => {
    const invariants = new Invariants();
    const add = (task: string, token: string, timestamp: string): void =>
      invariants.add({
        seq: 1,
        subject: `ksi.events.task.${task}.state.${token}`,
        timestamp,
        data: { session_id: 's' },
      });
    add('a', 'queued', '2026-01-01T00:00:00Z');
    add('b', 'queued', '2026-01-01T00:00:00Z');
    add('b', 'cancelled', '2026-01-02T00:00:00Z');
    assert.deepEqual([...invariants.open()], [{ taskId: 'a', sessionId: 's', at: '2026-01-01T00:00:00Z' }]);
    assert.deepEqual([invariants.endOf('a'), invariants.endOf('b')], [undefined, '2026-01-02T00:00:00Z']);
  });
});

describe('a stream against the contract', () => {
  it('is compared by the relevant settings', () => {
    const wanted = { name: 'X', discard: 'new', max_age: 5, republish: { src: 'a', dest: 'b' }, allow_direct: true };
    assert.deepEqual(
      differences(wanted, { ...wanted, republish: { src: 'a', dest: 'b', headers_only: false }, more: 1 }),
      [],
    );
    assert.deepEqual(differences(wanted, { ...wanted, max_age: 6, discard: undefined }), [
      'discard is undefined, not "new"',
      'max_age is 6, not 5',
    ]);
  });
});

const GB = 1_073_741_824;
const shown = ({ status, title, found }: Finding): string => `${status} ${title}: ${found}`;

describe('the clock', () => {
  it('of a nats-server is wrong only by more than the uncertainty of the round trip', () => {
    assert.equal(serverFinding('x', 1_000, 1_500, 2_000).status, 'ok');
    assert.equal(serverFinding('x', 10_000, 500, 10_100).status, 'warning');
    assert.match(serverFinding('x', 10_000, 500, 10_100).found, /9\.5 s behind/);
    assert.equal(serverFinding('x', 1_000, 61_000, 1_100).status, 'failed');
  });

  it('of this machine, and of each worker, is compared with the broker’s', () => {
    assert.equal(machineFinding(-999).status, 'ok');
    assert.match(shown(machineFinding(864_000_000)), /^warning .*864,000 s ahead of the broker's/);
    const worker: WorkerView = {
      worker_id: 'w_1',
      host: 'a',
      pid: 7,
      concurrency: 4,
      running: 1,
      queues: ['default'],
      containment: 'sandbox',
      started_at: '2026-01-01T00:00:00Z',
      seen_at: '2026-01-01T00:00:00Z',
      state: 'working',
    };
    const found = [
      ...workerFindings([
        { ...worker, clock_ahead_ms: -120_000, limited_until: '2026-01-02T00:00:00Z' },
        { ...worker, worker_id: 'w_2', state: 'lost' },
      ]),
    ].map(shown);
    assert.deepEqual(
      found.map((line) => line.split(':')[0]),
      ['ok workers', 'warning w_2', 'warning usage limit', 'warning clock', 'ok containment'],
    );
    assert.match(found[3] ?? '', /w_1 on a is 120 s behind/);
  });
});

describe('free space', () => {
  it('on the disk and in the store of nats-server is reported before it runs out', () => {
    const disk = (free: number, size: number): string => spaceFinding('/x', free * GB, size * GB).status;
    assert.deepEqual(
      [disk(0.9, 100), disk(5, 100), disk(11, 100), disk(30, 4_000), disk(19, 4_000)],
      ['failed', 'warning', 'ok', 'ok', 'warning'],
    );
    const store = (storage: number): number =>
      storageOf('x', { now: '', jetstream: { config: { max_storage: 100 }, stats: { storage } } }).length;
    assert.deepEqual([store(79), store(80)], [0, 1]);
  });
});

describe('the copies of a stream', () => {
  const cluster = {
    leader: 'n1',
    replicas: [{ name: 'n2', current: true, active: 0, peer: '', offline: false, lag: 0 }],
  };
  const copies = (messages: readonly (number | undefined)[]): Copies =>
    new Map(
      messages.map((count, index) => [
        `n${index + 1}`,
        new Map(
          count === undefined ? [] : [['X', { name: 'X', state: { messages: count, first_seq: 1, last_seq: 9 } }]],
        ),
      ]),
    );
  const different = (before: Copies, now: Copies): string[] =>
    differentCopies('X', { cluster }, before, now).map(shown);

  it('are damaged if they differ while nothing is written', () => {
    assert.deepEqual(different(copies([9, 9]), copies([9, 9])), []);
    assert.match(
      different(copies([9, 5]), copies([9, 5])).join(),
      /n2 differs: messages 1 to 9, 5 in all; the leader n1/,
    );
    assert.match(different(copies([9, undefined]), copies([9, undefined])).join(), /n2 differs: it is missing/);
    assert.deepEqual(different(copies([8, 7]), copies([9, 8])), [], 'something was written');
    assert.deepEqual(different(copies([9, 7]), copies([9, 8])), [], 'it catches up');
    assert.deepEqual(different(copies([9]), copies([9])), [], 'n2 does not answer');
  });

  it('are behind if the leader says so', () => {
    const replica = { name: 'n2', current: true, active: 0, peer: '' };
    const findingsFor = (...replicas: object[]): string[] => behind({ cluster: { replicas } } as never);
    assert.deepEqual(findingsFor(replica, { ...replica, current: false, lag: 1_234 }, { ...replica, offline: true }), [
      'its replica on n2 is not current, 1,234 entries behind',
      'its replica on n2 is offline',
    ]);
  });
});

describe('a check', () => {
  it('that fails or does not answer in time reports that, with its findings so far', async () => {
    const time = new AbortController();
    const one: Finding = { group: 'disk', title: 'one', status: 'ok', found: 'x' };
    const slow = findings(
      'disk',
      (async function* () {
        yield one;
        await new Promise(() => undefined);
      })(),
      time.signal,
    );
    await new Promise(setImmediate);
    time.abort();
    assert.deepEqual((await slow).map(shown), ['ok one: x', 'failed this check: did not answer in time']);
    const failing = findings(
      'disk',
      (async function* () {
        yield one;
        throw new Error('no such disk');
      })(),
      new AbortController().signal,
    );
    assert.deepEqual((await failing).map(shown), ['ok one: x', 'failed this check: it failed: no such disk']);
  });
});

describe('the time of all checks together', () => {
  it('ends within 10 s of the start of the process', () => {
    for (const started of [100, 1_000, 3_000, 5_000]) assert.ok(started + timeLeft(started) <= 10_000, String(started));
  });
});
