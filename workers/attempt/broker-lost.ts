import { once } from 'node:events';
import type { Logger } from 'pino';
import type { Broker } from '../../src/broker/connect.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { WorkerContext } from './context.js';
import type { Held } from '../journal/journal.js';
import { endLostAttempt } from '../journal/lost-attempt.js';

/** An outage that lasts longer is not waited for: whoever takes the task over then says that its worker was lost. */
const LONGEST_OUTAGE_MS = 600_000;

/**
 * Says, once the broker is back, that an attempt ended since the broker was away for longer than its lease, unless another worker has
 * taken it over by then. Its processes must have ended. The attempt publishes nothing else any more; this is refused like all of it once
 * its start is not the task's last state.
 */
export async function tellBrokerLost(
  held: Held,
  { broker, workerId, shutdown, log }: Pick<WorkerContext, 'broker' | 'workerId' | 'shutdown'> & { log: Logger },
): Promise<void> {
  const signal = AbortSignal.any([shutdown, broker.clock.deadline(LONGEST_OUTAGE_MS)]);
  try {
    // What is published before is lost, and the loss noticed too late: others are quick to take the task over.
    await connected(broker, signal);
    const seq = await endLostAttempt(broker, held, 'broker_lost', workerId, signal);
    if (seq === undefined) log.info('the task was taken over while the broker was away');
  } catch (error) {
    if (!signal.aborted && !isBrokerError(error)) throw error;
    log.warn({ err: error }, 'the broker could not be told that it was away for too long');
  }
}

/** Resolves while there is a connection. @throws the signal's reason. */
async function connected(broker: Broker, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (broker.connected()) return;
  const back = new AbortController();
  const off = broker.onConnection((isBack) => isBack && back.abort());
  await once(AbortSignal.any([back.signal, signal]), 'abort');
  off();
  signal.throwIfAborted();
}
