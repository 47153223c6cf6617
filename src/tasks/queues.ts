import { CONSUMER, LANES, STREAM } from '../../contracts/wire/names.js';
import type { QueueShown } from '../../contracts/tasks/queues.js';
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
}): Promise<QueueShown[]> {
  const workers = (await workersOf(broker)).filter(({ state }) => state !== 'lost');
  return Promise.all(
    listOf(config.KSI_QUEUES).map(async (queue) => {
      const [waiting, parked, ...lanes] = await Promise.all([
        standing(broker, CONSUMER.waiting(queue)),
        standing(broker, CONSUMER.parked(queue)),
        ...LANES.map((lane) => standing(broker, CONSUMER.lane(queue, lane))),
      ]);
      return {
        queue,
        tasks: [waiting, parked, ...lanes].reduce((sum, { queued, delivered }) => sum + queued + delivered, 0),
        running: lanes.reduce((sum, { delivered }) => sum + delivered, 0),
        lanes: Object.fromEntries(LANES.map((lane, at) => [lane, lanes[at]?.queued ?? 0])) as QueueShown['lanes'],
        waiting: waiting.queued,
        parked: parked.queued,
        limit: config.KSI_QUEUE_MAX,
        workers: workers.filter(({ queues }) => queues.includes(queue)).map(({ worker_id: id }) => id),
      };
    }),
  );
}

interface Standing {
  readonly queued: number;
  readonly delivered: number;
}

async function standing(broker: Broker, consumer: string): Promise<Standing> {
  try {
    const info = await broker.jsm.consumers.info(STREAM.commands, consumer);
    return { queued: info.num_pending, delivered: info.num_ack_pending };
  } catch (error) {
    throw apiErrorOf(asBrokerError(error, 'reading the length of the queues'));
  }
}
