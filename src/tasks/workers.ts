import { NOBODY, SUBJECT } from '../../contracts/wire/names.js';
import type { LimitLifted, WorkerView } from '../../contracts/tasks/workers.js';
import type { Broker } from '../broker/connect.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { presentWorkers } from '../broker/workers.js';
import { ApiError, apiErrorOf } from '../errors/api-error.js';
import type { Principal } from '../access/principal.js';

/** All present workers. @throws {ApiError} */
export const workersOf = (broker: Broker): Promise<WorkerView[]> =>
  presentWorkers(broker).catch((error: unknown) => {
    throw apiErrorOf(error);
  });

/**
 * Lets all workers take tasks again before a usage limit resets. If Claude still refuses, the next task reports that, and the limit
 * applies again. @throws {ApiError}
 */
export async function liftLimit(broker: Broker, { owner, seesAll }: Principal): Promise<LimitLifted> {
  if (!seesAll)
    throw new ApiError('forbidden', 'Workers serve all owners, so lifting a limit needs a token that sees all owners');
  const limited = (await workersOf(broker)).filter(({ limited_until: until }) => until !== undefined);
  const event = newEvent(broker.clock, 'WORKER_LIMIT_LIFTED', { by: owner });
  try {
    // The subject of limits: a worker that starts later reads the last event on it.
    await broker.publisher.publish(eventPublication(event, SUBJECT.workerEvent(NOBODY, 'limited')));
  } catch (error) {
    throw apiErrorOf(error);
  }
  return { workers: limited.map(({ worker_id: id }) => id) };
}
