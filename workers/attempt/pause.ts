import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { keepParked, park, type TaskRef } from '../../src/broker/parked-runs.js';
import { whileUnavailable } from '../../src/broker/certain.js';
import type { WorkerContext } from './context.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';

/** A longer wait than this is the broker's, by a schedule: a nak's delay is forgotten when the broker is killed, and its delivery held in memory. */
export const LONGEST_NAK_MS = 55_000;

type Pausing = Pick<WorkerContext, 'broker' | 'leaseMs' | 'longestNakMs' | 'log'>;

const refOf = ({ task_id: taskId, session_id: sessionId }: TaskIdentity): TaskRef => ({ taskId, sessionId });

/** Gives a run back for its next attempt in `ms`; it keeps its session's place. Never rejects for the broker's sake: a redelivery repeats it. */
export async function pauseRun(
  delivery: Delivery,
  identity: TaskIdentity,
  ms: number,
  context: Pausing,
): Promise<void> {
  if (ms <= context.longestNakMs) return delivery.giveBack(ms);
  await offTheQueue(delivery, context, () => park(context.broker, refOf(identity), delivery));
}

/** Parks a run that waits for the workspace below `root`. As `pauseRun`. */
export const holdRun = (delivery: Delivery, identity: TaskIdentity, root: string, context: Pausing): Promise<void> =>
  offTheQueue(delivery, context, () => park(context.broker, refOf(identity), delivery, root));

/** Takes a run off the queue in whose place a later message of its task stands, and sees to it that that one is woken. As `pauseRun`. */
export const removeSuperseded = (delivery: Delivery, identity: TaskIdentity, context: Pausing): Promise<void> =>
  offTheQueue(delivery, context, () => keepParked(context.broker, refOf(identity)));

async function offTheQueue(
  delivery: Delivery,
  { broker, leaseMs, log }: Pausing,
  before: () => Promise<unknown>,
): Promise<void> {
  const patience = broker.clock.deadline(leaseMs);
  try {
    await whileUnavailable(broker, patience, before);
    await whileUnavailable(broker, patience, () => delivery.ack());
  } catch (error) {
    if (!patience.aborted && !isBrokerError(error)) throw error;
    log.warn({ err: error }, 'the run is not off the queue yet; its redelivery will see to that');
  }
}
