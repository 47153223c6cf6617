import type { Logger } from 'pino';
import type { ReadModel } from '../store/read-model.js';
import { ApiError } from '../errors/api-error.js';
import type { Deleter } from './deletion/deleter.js';
import { LOCAL } from '../access/principal.js';

/** Unaccepted tasks are kept for an hour, for diagnosis. */
const MIN_AGE_MS = 3_600_000;
const MAX_TASKS = 100;

export interface DeleteUnacceptedOptions {
  readonly model: Pick<ReadModel, 'notAccepted'>;
  readonly deleter: Pick<Deleter, 'task'>;
  readonly log: Logger;
}

/**
 * Deletes unaccepted tasks that are older than an hour. The idempotency record of such a task is marked `abandoned`, so a repeated request with
 * the same key creates a new task whether or not this one still exists.
 * @returns the number of deleted tasks. @throws {ApiError} broker_unavailable. @throws {BrokerError}
 */
export async function deleteUnaccepted(
  { model, deleter, log }: DeleteUnacceptedOptions,
  now: number,
  signal: AbortSignal,
): Promise<number> {
  let deleted = 0;
  for (const { task_id: id } of await model.notAccepted(new Date(now - MIN_AGE_MS), MAX_TASKS)) {
    if (signal.aborted) break;
    try {
      await deleter.task(id, LOCAL);
      deleted++;
    } catch (error) {
      // Another API may have deleted the task first. Any other fault is retried by the next sweep.
      log.debug({ err: error, task_id: id }, 'could not delete an unaccepted task');
      if (!(error instanceof ApiError) || error.code === 'broker_unavailable') throw error;
    }
  }
  return deleted;
}
