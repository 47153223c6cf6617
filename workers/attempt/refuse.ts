import { HEADER } from '../../contracts/wire/names.js';
import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { WorkerContext } from './context.js';
import { isStale, readPosition } from './history.js';

/**
 * Gives a run back for which there is no room here, unless an attempt that holds it goes on: a broker that was killed
 * delivers anew what it has forgotten, and after a nak that looks like a later delivery, by which a living attempt would be
 * taken over. Then the run is left to its lease. Never rejects.
 */
export async function refuseRun(
  delivery: Delivery,
  { broker, log }: Pick<WorkerContext, 'broker' | 'log'>,
  ms: number,
): Promise<void> {
  const run = { seq: delivery.seq, delivery: delivery.count };
  try {
    const position = await readPosition(broker, delivery.header(HEADER.taskId), log);
    const running = position.kind === 'again' ? position.running : undefined;
    if (running === undefined || !isStale(run, running)) delivery.giveBack(ms);
  } catch (error) {
    if (isBrokerError(error)) log.warn({ err: error }, 'a run that has no room here is left to its lease');
    else log.error({ err: error }, 'a run that has no room here could not be given back');
  }
}
