import type { TaskErrorCode } from '../../contracts/wire/errors.js';
import { RETRYABLE } from '../../contracts/tasks/policy.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Outcome } from './outcome.js';

/** A task's policy with all defaults applied. */
export interface EffectivePolicy {
  readonly maxAttempts: number;
  readonly backoff: { readonly baseMs: number; readonly factor: number; readonly maxMs: number };
  readonly retryOn: ReadonlySet<TaskErrorCode>;
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number;
  /** A task that has not started by then expires. All times are in ms since 1970. */
  readonly startBy: number;
  /** No attempt may run later than this: its first events would be deleted before its last ones. */
  readonly endBy: number;
  readonly queueTimeoutMs: number;
}

const S = 1_000;

/**
 * Applies the defaults and the event retention to a task's policy: no task may stay open for longer than its events are stored
 * (docs/design/broker-protocol.md#open-no-longer-than-events). Half of that time is for the wait, half for an attempt.
 */
export function effectivePolicy(
  { policy = {}, accepted_at, start_by }: Pick<SpawnCommand, 'policy' | 'accepted_at' | 'start_by'>,
  retentionMs: number,
): EffectivePolicy {
  const { max_attempts = 3, backoff = {}, retry_on, timeout_s = 3600, queue_timeout_s, idle_timeout_s = 900 } = policy;
  const { base_s = 2, factor = 2, max_s = 300 } = backoff;
  const acceptedAt = Date.parse(accepted_at);
  const startBy =
    start_by === undefined
      ? acceptedAt + Math.min((queue_timeout_s ?? Infinity) * S, retentionMs / 2)
      : Date.parse(start_by);
  return {
    maxAttempts: max_attempts,
    backoff: { baseMs: base_s * S, factor, maxMs: max_s * S },
    retryOn: new Set<TaskErrorCode>(retry_on ?? RETRYABLE),
    timeoutMs: Math.min(timeout_s * S, retentionMs / 2),
    idleTimeoutMs: idle_timeout_s * S,
    startBy,
    endBy: acceptedAt + retentionMs,
    queueTimeoutMs: startBy - acceptedAt,
  };
}

export type RetryDecision =
  /** The outcome becomes the task's. */
  | { kind: 'finish' }
  | { kind: 'retry'; afterMs: number }
  /** The error becomes the task's, with a dead letter. */
  | { kind: 'give_up' };

/**
 * Decides whether another attempt follows. Pure: the tests are a table. An error that the policy does not retry becomes the task's outcome.
 * A task is given up when its error could be retried, but no attempts or no time is left.
 * @param failures attempts that count against the policy, this one included.
 * @param random between 0 and 1. Full jitter: tasks that failed together are not retried together.
 */
export function decideRetry(
  outcome: Outcome,
  failures: number,
  policy: EffectivePolicy,
  random: number,
  now: number,
): RetryDecision {
  if (outcome.kind === 'completed' || !policy.retryOn.has(outcome.error.code as TaskErrorCode))
    return { kind: 'finish' };
  if (failures >= policy.maxAttempts) return { kind: 'give_up' };
  const afterMs = waitMs(failures, policy.backoff, random, outcome.retryAt === undefined ? 0 : outcome.retryAt - now);
  return now + afterMs + policy.timeoutMs > policy.endBy ? { kind: 'give_up' } : { kind: 'retry', afterMs };
}

/** The delay after a host had a resource shortage. */
const HOST_BACKOFF = { baseMs: 4_000, factor: 2, maxMs: 50_000 };
const HOST_PAUSE_MS = 500;

/**
 * Decides whether another attempt follows one that the host could not run. Such failures do not count against the policy. Another attempt
 * follows while the task has time left. Pure.
 * @param attempt the number of that attempt.
 */
export function decideHostRetry(attempt: number, policy: EffectivePolicy, random: number, now: number): RetryDecision {
  const afterMs = waitMs(attempt, HOST_BACKOFF, random, HOST_PAUSE_MS);
  return now + afterMs + policy.timeoutMs > policy.endBy ? { kind: 'give_up' } : { kind: 'retry', afterMs };
}

/** Uses the retry time that Claude reported, plus jitter, so that tasks do not all return at the same moment. */
function waitMs(failures: number, backoff: EffectivePolicy['backoff'], random: number, namedMs: number): number {
  const { baseMs, factor, maxMs } = backoff;
  const jittered = random * Math.min(maxMs, baseMs * factor ** (failures - 1));
  return Math.round(Math.max(0, namedMs) + jittered);
}

/** Milliseconds until `retryAt`. 0: the next attempt may start. Both times are in ms since 1970. */
export const pauseMs = (retryAt: number | undefined, now: number): number =>
  retryAt === undefined ? 0 : Math.max(0, retryAt - now);
