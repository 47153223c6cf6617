import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { ensureWakeup, park, type TaskRef } from '../../src/broker/parked-runs.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import type { WorkerContext } from './context.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';

/** Longer delays use a schedule of the broker: a broker that is killed forgets a nak's delay, and a delayed delivery stays in memory. */
export const MAX_NAK_MS = 55_000;

type Pausing = Pick<WorkerContext, 'broker' | 'leaseMs' | 'longestNakMs' | 'log'>;

const refOf = ({ task_id: taskId, session_id: sessionId }: TaskIdentity): TaskRef => ({ taskId, sessionId });

/** Delays a run's next attempt by `ms`. It stays its session's run. Broker errors are logged: a redelivery repeats the call. */
export async function delayRun(
  delivery: Delivery,
  identity: TaskIdentity,
  ms: number,
  context: Pausing,
): Promise<void> {
  if (ms <= context.longestNakMs) return delivery.nak(ms);
  await offTheQueue(delivery, context, () => park(context.broker, refOf(identity), delivery));
}

/** Parks a run that waits for the workspace below `root`. As `delayRun`. */
export const holdRun = (delivery: Delivery, identity: TaskIdentity, root: string, context: Pausing): Promise<void> =>
  offTheQueue(delivery, context, () => park(context.broker, refOf(identity), delivery, root));

/** Removes a run that a later queue entry of its task replaces, and ensures that the later entry has a wakeup. As `delayRun`. */
export const removeSuperseded = (delivery: Delivery, identity: TaskIdentity, context: Pausing): Promise<void> =>
  offTheQueue(delivery, context, () => ensureWakeup(context.broker, refOf(identity)));

async function offTheQueue(
  delivery: Delivery,
  { broker, leaseMs, log }: Pausing,
  beforeAck: () => Promise<unknown>,
): Promise<void> {
  const deadline = broker.clock.deadline(leaseMs);
  try {
    await retryWhileUnavailable(broker, deadline, beforeAck);
    await retryWhileUnavailable(broker, deadline, () => delivery.ack());
  } catch (error) {
    if (!deadline.aborted && !isBrokerError(error)) throw error;
    log.warn({ err: error }, 'could not acknowledge the run; its redelivery will');
  }
}
