import type { Logger } from 'pino';
import type { ReadModel } from '../store/read-model.js';
import { ApiError } from '../errors/api-error.js';
import type { Deleter } from './deletion/deleter.js';
import { LOCAL } from '../access/principal.js';

/** How long a task that was not accepted is kept, for whoever looks into it. */
const KEPT_MS = 3_600_000;
const AT_ONCE = 100;

export interface DeleteUnacceptedOptions {
  readonly model: Pick<ReadModel, 'notAccepted'>;
  readonly deleter: Pick<Deleter, 'task'>;
  readonly log: Logger;
}

/**
 * Deletes the tasks that were not accepted an hour ago. An idempotency record may still name such a task; it says `abandoned` then, so a request
 * that comes with the key makes another task, whether the old one is known or not. @returns how many it deleted. @throws {BrokerError}
 */
export async function deleteUnaccepted(
  { model, deleter, log }: DeleteUnacceptedOptions,
  now: number,
  signal: AbortSignal,
): Promise<number> {
  let deleted = 0;
  for (const { task_id: id } of await model.notAccepted(new Date(now - KEPT_MS), AT_ONCE)) {
    if (signal.aborted) break;
    try {
      await deleter.task(id, LOCAL);
      deleted++;
    } catch (error) {
      // Another API was first. What failed here for another reason is tried again with the next sweep.
      log.debug({ err: error, task_id: id }, 'a task that was not accepted could not be deleted');
      if (!(error instanceof ApiError) || error.code === 'broker_unavailable') throw error;
    }
  }
  return deleted;
}
