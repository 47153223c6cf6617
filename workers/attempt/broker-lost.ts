import { once } from 'node:events';
import type { Logger } from 'pino';
import type { Broker } from '../../src/broker/connect.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { WorkerContext } from './context.js';
import type { JournaledRun } from '../journal/journal.js';
import { endLostAttempt } from '../journal/lost-attempt.js';

/** How long to wait for the broker. After that, the takeover reports a lost worker instead. */
const MAX_OUTAGE_MS = 600_000;

/**
 * Publishes, once the broker is back, that an attempt ended because the broker was unavailable for longer than its lease. Call it after the
 * attempt's processes have ended. The event is fenced like all others: it is refused if another worker has taken the task over.
 */
export async function tellBrokerLost(
  held: JournaledRun,
  { broker, workerId, shutdown, log }: Pick<WorkerContext, 'broker' | 'workerId' | 'shutdown'> & { log: Logger },
): Promise<void> {
  const signal = AbortSignal.any([shutdown, broker.clock.deadline(MAX_OUTAGE_MS)]);
  try {
    // A publication before the connection is back would be lost, and a retry too late: other workers take the task over quickly.
    await connected(broker, signal);
    const seq = await endLostAttempt(broker, held, 'broker_lost', workerId, signal);
    if (seq === undefined) log.info('the task was taken over while the broker was away');
  } catch (error) {
    if (!signal.aborted && !isBrokerError(error)) throw error;
    log.warn({ err: error }, 'could not report that the broker was unavailable for too long');
  }
}

/** Resolves when there is a connection. @throws the signal's reason. */
async function connected(broker: Broker, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (broker.connected()) return;
  const back = new AbortController();
  const off = broker.onConnection((isBack) => isBack && back.abort());
  await once(AbortSignal.any([back.signal, signal]), 'abort');
  off();
  signal.throwIfAborted();
}
