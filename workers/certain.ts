import { HEADER } from '../contracts/wire/names.js';
import type { Broker } from '../src/broker/connect.js';
import { isBrokerError } from '../src/broker/errors.js';
import type { Expectation, Publication } from '../src/broker/publish.js';
import { lastBySubject } from '../src/broker/read.js';
import { sleep } from '../src/clock.js';

const RETRY_MS = 250;

/**
 * Does something again and again while this broker is away or full. What it does must be safe to repeat.
 * @throws {BrokerError} of other kinds, and the signal's reason once it aborts.
 */
export async function whileUnavailable<T>(
  { clock }: Pick<Broker, 'clock'>,
  signal: AbortSignal,
  action: () => Promise<T>,
): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      if (!isBrokerError(error, 'unavailable') && !isBrokerError(error, 'full')) throw error;
    }
    await sleep(clock, RETRY_MS, signal);
  }
}

/**
 * Publishes until it is certain whether it is stored: through outages, and when an acknowledgement was lost. A repeat
 * of what is stored answers conflict, so that is resolved by reading whose message is the last (docs/design/broker-protocol.md#cas-before-deduplication).
 * @returns its sequence; undefined when somebody else was first.
 */
export function publishCertainly(
  broker: Broker,
  stream: string,
  publication: Publication & { msgId: string; expect: Expectation },
  signal: AbortSignal,
): Promise<number | undefined> {
  return whileUnavailable(broker, signal, async () => {
    try {
      return (await broker.publisher.publish(publication)).seq;
    } catch (error) {
      if (!isBrokerError(error, 'conflict')) throw error;
      const last = await lastBySubject(broker, stream, publication.expect.filter);
      return last?.header(HEADER.msgId) === publication.msgId ? last.seq : undefined;
    }
  });
}
