import { NOBODY, SUBJECT } from '../../contracts/wire/names.js';
import type { LimitLifted, WorkerShown } from '../../contracts/tasks/workers.js';
import type { Broker } from '../broker/connect.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { presentWorkers } from '../broker/workers.js';
import { ApiError, apiErrorOf } from '../errors/api-error.js';
import type { Principal } from '../access/principal.js';

/** The workers that there are. @throws {ApiError} */
export const workersOf = (broker: Broker): Promise<WorkerShown[]> =>
  presentWorkers(broker).catch((error: unknown) => {
    throw apiErrorOf(error);
  });

/**
 * Lets all workers take tasks again, though a usage limit names a later time. If Claude still refuses, the next task says so
 * and the limit holds again. @throws {ApiError}
 */
export async function liftLimit(broker: Broker, { owner, seesAll }: Principal): Promise<LimitLifted> {
  if (!seesAll) throw new ApiError('forbidden', 'Workers serve all owners: this needs a token that sees all owners');
  const limited = (await workersOf(broker)).filter(({ limited_until: until }) => until !== undefined);
  const event = newEvent(broker.clock, 'WORKER_LIMIT_LIFTED', { by: owner });
  try {
    // Where limits are told: the last word holds for workers that start later.
    await broker.publisher.publish(eventPublication(event, SUBJECT.workerEvent(NOBODY, 'limited')));
  } catch (error) {
    throw apiErrorOf(error);
  }
  return { workers: limited.map(({ worker_id: id }) => id) };
}
