import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { check } from '../../contracts/wire/check.js';
import type { TaskErrorCode } from '../../contracts/wire/errors.js';
import { Policy } from '../../contracts/tasks/policy.js';
import { IdleWatch } from '../../workers/claude/idle.js';
import { taskError, type Outcome } from '../../workers/attempt/outcome.js';
import { decideRetry, effectivePolicy, pauseMs } from '../../workers/attempt/policy.js';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const DAY = 86_400_000;
const accepted_at = new Date(NOW).toISOString();
const policyOf = (policy: Policy = {}, retention = 7 * DAY) => effectivePolicy({ policy, accepted_at }, retention);

const failed = (code: TaskErrorCode, retryAt?: number): Outcome => ({
  kind: 'failed',
  error: taskError(code, ''),
  retryAt,
});
const completed: Outcome = { kind: 'completed', output: { type: 'result' } };

const TABLE: [string, Outcome, number, Policy, number, object][] = [
  ['a success', completed, 1, {}, 0.5, { kind: 'finish' }],
  ['a success after failures', completed, 9, {}, 0.5, { kind: 'finish' }],
  ['an error that no other attempt helps', failed('claude_auth_failed'), 1, {}, 0.5, { kind: 'finish' }],
  ['a limit of turns', failed('claude_max_turns'), 1, {}, 0.5, { kind: 'finish' }],
  ['an interruption', failed('claude_interrupted'), 1, {}, 0.5, { kind: 'finish' }],
  ['the first overload', failed('claude_overloaded'), 1, {}, 0.5, { kind: 'retry', afterMs: 1_000 }],
  ['the second', failed('claude_overloaded'), 2, {}, 0.5, { kind: 'retry', afterMs: 2_000 }],
  ['the third', failed('claude_overloaded'), 3, {}, 0.5, { kind: 'give_up' }],
  ['a crash', failed('claude_crashed'), 1, {}, 1, { kind: 'retry', afterMs: 2_000 }],
  ['a timeout', failed('claude_timeout'), 1, {}, 1, { kind: 'retry', afterMs: 2_000 }],
  ['the least jitter', failed('claude_crashed'), 1, {}, 0, { kind: 'retry', afterMs: 0 }],
  ['a single attempt', failed('claude_crashed'), 1, { max_attempts: 1 }, 1, { kind: 'give_up' }],
  [
    'a wait past its bound',
    failed('claude_crashed'),
    9,
    { max_attempts: 10, backoff: { base_s: 1, factor: 10, max_s: 7 } },
    1,
    { kind: 'retry', afterMs: 7_000 },
  ],
  ['an error left out of retry_on', failed('claude_crashed'), 1, { retry_on: [] }, 1, { kind: 'finish' }],
  [
    'an error named in retry_on',
    failed('claude_max_turns'),
    1,
    { retry_on: ['claude_max_turns'] },
    1,
    { kind: 'retry', afterMs: 2_000 },
  ],
  [
    'a limit with its reset time',
    failed('claude_rate_limited', NOW + 60_000),
    1,
    {},
    0.5,
    { kind: 'retry', afterMs: 61_000 },
  ],
  ['a reset time that is past', failed('claude_rate_limited', NOW - 9), 1, {}, 0.5, { kind: 'retry', afterMs: 1_000 }],
  ['a reset later than events are kept', failed('claude_rate_limited', NOW + 7 * DAY), 1, {}, 0, { kind: 'give_up' }],
];

describe('decide', () => {
  for (const [name, outcome, failures, policy, random, expected] of TABLE) {
    it(`${(expected as { kind: string }).kind}: ${name}`, () =>
      assert.deepEqual(decideRetry(outcome, failures, policyOf(policy), random, NOW), expected));
  }

  it('never waits longer than the maximum or less than a named time, whatever the jitter', () => {
    for (let seed = 0; seed < 5_000; seed++) {
      const random = (seed * 0.618033988749895) % 1;
      const failures = 1 + (seed % 40);
      const named = seed % 3 === 0 ? NOW + (seed % 1_000) * 100 : undefined;
      const policy = policyOf({ max_attempts: 100 });
      const decision = decideRetry(failed('claude_rate_limited', named), failures, policy, random, NOW);
      assert.ok(decision.kind === 'retry');
      const least = Math.max(0, (named ?? NOW) - NOW);
      assert.ok(decision.afterMs >= least && decision.afterMs <= least + 300_000, `seed ${seed}`);
    }
  });
});

describe('effectivePolicy', () => {
  it('is limited by the retention of events', () => {
    const policy = policyOf({ timeout_s: 86_400, queue_timeout_s: 86_400 }, 3_600_000);
    assert.equal(policy.timeoutMs, 1_800_000);
    assert.equal(policy.startBy, NOW + 1_800_000);
    assert.equal(policyOf({}, 3_600_000).startBy, NOW + 1_800_000);
    assert.equal(policyOf({ queue_timeout_s: 5 }).startBy, NOW + 5_000);
  });
});

describe('Policy', () => {
  it('refuses unknown fields by name', () => {
    assert.ok(check(Policy, { max_attempts: 1, backoff: { base_s: 0.5 }, retry_on: ['claude_crashed'] }).ok);
    for (const wrong of [{ attempts: 1 }, { max_attempts: 0 }, { retry_on: ['nonsense'] }, { backoff: { base: 1 } }])
      assert.ok(!check(Policy, wrong).ok, JSON.stringify(wrong));
  });
});

describe('pauseMs', () => {
  it('is the remaining time, and zero once the time has come', () => {
    assert.equal(pauseMs(undefined, NOW), 0);
    assert.equal(pauseMs(NOW - 1, NOW), 0);
    assert.equal(pauseMs(NOW + 700, NOW), 700);
    assert.equal(pauseMs(NOW + DAY, NOW), DAY);
  });
});

describe('IdleWatch', () => {
  it('counts only the silence of the stream itself', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    let idle = 0;
    const watch = new IdleWatch(100, () => (idle += 1));
    mock.timers.tick(99);
    void watch.onOutput(undefined);
    mock.timers.tick(99);
    let open = (): void => undefined;
    const gated = watch.onOutput(new Promise((resolve) => (open = resolve)));
    mock.timers.tick(1_000);
    assert.equal(idle, 0);
    open();
    await gated;
    mock.timers.tick(99);
    assert.equal(idle, 0);
    mock.timers.tick(1);
    assert.equal(idle, 1);
    watch.stop();
    mock.timers.reset();
  });
});
