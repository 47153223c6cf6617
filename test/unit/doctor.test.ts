import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TASK_STATES, type TaskStatus } from '../../contracts/states.js';
import { differences } from '../../src/doctor/broker.js';
import { clockFinding } from '../../src/doctor/clocks.js';
import { Invariants, type Rule } from '../../src/doctor/invariants.js';

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
  it('hold in what may happen', () => {
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

  it('break by each thing that may not', () => {
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

  it('know which tasks are open, and when the others ended', () => {
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
  it('is told apart by what matters', () => {
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

describe("the broker's clock", () => {
  it('is off by no less than what the way there and back leaves open', () => {
    assert.equal(clockFinding('x', 1_000, 1_500, 2_000).status, 'ok');
    assert.equal(clockFinding('x', 10_000, 500, 10_100).status, 'warning');
    assert.match(clockFinding('x', 10_000, 500, 10_100).found, /^9500 ms behind/);
    assert.equal(clockFinding('x', 1_000, 61_000, 1_100).status, 'failed');
  });
});
