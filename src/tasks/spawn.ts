import type { Task } from '../../contracts/tasks/task.js';
import type { SpawnRequest, SpawnAccepted } from '../../contracts/tasks/spawn.js';
import { timerMs } from '../clock.js';
import type { AcceptedTask, IdempotentAcceptor } from './accept/spawn-idempotency.js';
import type { Authenticator } from '../access/auth.js';
import type { Call } from '../access/handlers.js';
import type { SpawnRateLimiter } from '../access/rates/limiter.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Acceptor } from './accept/acceptor.js';
import type { TaskReader } from './reader.js';
import type { Principal } from '../access/principal.js';
import { toApiError } from '../errors/problem.js';
import type { RateState } from '../../contracts/access/rates.js';

export interface Spawned extends AcceptedTask {
  /** Undefined: the token has no rate limit. */
  readonly rate: RateState | undefined;
}

interface Spawning {
  readonly acceptor: Acceptor;
  readonly once: IdempotentAcceptor;
  readonly metrics: Metrics;
  readonly spawnRate: SpawnRateLimiter;
}

/** Accepts a spawn request from any transport and counts it by its result. @throws {ApiError} */
export async function spawn(
  { acceptor, once, metrics, spawnRate }: Spawning,
  request: SpawnRequest,
  principal: Principal,
  { idempotencyKey: key, traceparent }: Pick<Call, 'idempotencyKey' | 'traceparent'>,
): Promise<Spawned> {
  try {
    const rate = spawnRate.take(principal);
    const answer =
      key === undefined
        ? { accepted: await acceptor.accept(request, principal, traceparent), replayed: false }
        : await once.accept(request, principal, key, traceparent);
    metrics.spawns.inc({ result: answer.replayed ? 'replayed' : 'accepted' });
    return { ...answer, rate };
  } catch (error) {
    const refused = toApiError(error);
    metrics.spawns.inc({ result: refused.code });
    throw refused;
  }
}

interface Waiting {
  readonly tasks: TaskReader;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
  readonly authenticator: Authenticator;
}

/**
 * Waits for the outcome of a task.
 * @param signal ends the wait early.
 * @returns the ended task, or the task as it is when the time is up. @throws {ApiError}
 */
export const taskWithin = (
  { tasks, closing, authenticator }: Waiting,
  id: string,
  principal: Principal,
  seconds: number,
  signal: AbortSignal,
): Promise<Task> =>
  authenticator.whileValid(principal, (valid) => {
    const ends = [AbortSignal.timeout(timerMs(seconds * 1_000)), closing, valid, signal];
    return tasks.ended(id, principal, AbortSignal.any(ends));
  });

/** Waits for the outcome of an accepted task. @returns the ended task; after the timeout, the acceptance with the task's current status. @throws {ApiError} */
export async function outcomeWithin(
  waiting: Waiting,
  accepted: SpawnAccepted,
  principal: Principal,
  seconds: number,
  signal: AbortSignal,
): Promise<Task | SpawnAccepted> {
  const task = await taskWithin(waiting, accepted.task_id, principal, seconds, signal);
  return task.ended_at === undefined ? { ...accepted, status: task.status } : task;
}
