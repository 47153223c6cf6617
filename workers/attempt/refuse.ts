import { HEADER } from '../../contracts/wire/names.js';
import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { WorkerContext } from './context.js';
import { isStale, readHistory } from './history.js';

/**
 * Returns a run for which this worker has no slot, unless an attempt for it is running. A broker that was killed delivers forgotten runs
 * again. A nak would make that delivery look later than the attempt's own, and the living attempt would be taken over. Such a run is left
 * to its lease. Never rejects.
 */
export async function refuseRun(
  delivery: Delivery,
  { broker, log }: Pick<WorkerContext, 'broker' | 'log'>,
  ms: number,
): Promise<void> {
  const run = { seq: delivery.seq, delivery: delivery.count };
  try {
    const position = await readHistory(broker, delivery.header(HEADER.taskId), log);
    const running = position.kind === 'again' ? position.running : undefined;
    if (running === undefined || !isStale(run, running)) delivery.nak(ms);
  } catch (error) {
    if (isBrokerError(error)) log.warn({ err: error }, 'this worker has no slot for a run; its lease will expire');
    else log.error({ err: error }, 'could not return a run for which this worker has no slot');
  }
}
