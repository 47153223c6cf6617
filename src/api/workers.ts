import type { WorkerShown } from '../../contracts/workers.js';
import type { Broker } from '../broker/connect.js';
import { presentWorkers } from '../broker/workers.js';
import { apiErrorOf } from './api-error.js';

/** The workers that there are. @throws {ApiError} */
export const workersOf = (broker: Broker): Promise<WorkerShown[]> =>
  presentWorkers(broker).catch((error: unknown) => {
    throw apiErrorOf(error);
  });
