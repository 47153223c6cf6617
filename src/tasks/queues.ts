import { CONSUMER, RUN_PRIORITIES, STREAM } from '../../contracts/wire/names.js';
import type { QueueView } from '../../contracts/tasks/queues.js';
import type { Broker } from '../broker/connect.js';
import { asBrokerError } from '../broker/read.js';
import { listOf } from '../config/load.js';
import { apiErrorOf } from '../errors/api-error.js';
import type { Config } from '../../contracts/config/config.js';
import { workersOf } from './workers.js';

/** The queues of KSI_QUEUES, in that order, with their current lengths. @throws {ApiError} */
export async function queuesOf({
  broker,
  config,
}: {
  readonly broker: Broker;
  readonly config: Config;
}): Promise<QueueView[]> {
  const workers = (await workersOf(broker)).filter(({ state }) => state !== 'lost');
  return Promise.all(
    listOf(config.KSI_QUEUES).map(async (queue) => {
      const [waiting, parked, ...runPriorities] = await Promise.all([
        standing(broker, CONSUMER.waiting(queue)),
        standing(broker, CONSUMER.parked(queue)),
        ...RUN_PRIORITIES.map((runPriority) => standing(broker, CONSUMER.run(queue, runPriority))),
      ]);
      return {
        queue,
        tasks: [waiting, parked, ...runPriorities].reduce((sum, { queued, delivered }) => sum + queued + delivered, 0),
        running: runPriorities.reduce((sum, { delivered }) => sum + delivered, 0),
        ready: Object.fromEntries(
          RUN_PRIORITIES.map((runPriority, at) => [runPriority, runPriorities[at]?.queued ?? 0]),
        ) as QueueView['ready'],
        waiting: waiting.queued,
        parked: parked.queued,
        limit: config.KSI_QUEUE_MAX,
        workers: workers.filter(({ queues }) => queues.includes(queue)).map(({ worker_id: id }) => id),
      };
    }),
  );
}

interface QueueCounts {
  readonly queued: number;
  readonly delivered: number;
}

async function standing(broker: Broker, consumer: string): Promise<QueueCounts> {
  try {
    const info = await broker.jsm.consumers.info(STREAM.commands, consumer);
    return { queued: info.num_pending, delivered: info.num_ack_pending };
  } catch (error) {
    throw apiErrorOf(asBrokerError(error, 'reading the length of the queues'));
  }
}
