import { HEADER } from '../../contracts/wire/names.js';
import { retry, RETRY_MS } from '../retry.js';
import type { Broker } from './connect.js';
import { isTransient } from './errors.js';
import { publishExpecting, type ExpectingPublication } from './publish.js';
import { lastBySubject } from './read.js';

/**
 * Repeats an action while its failures are transient: the broker is away or full. The action must be safe to repeat.
 * @throws {BrokerError} for other failures, and the signal's reason once it aborts.
 */
export const retryWhileUnavailable = <T>(
  { clock }: Pick<Broker, 'clock'>,
  signal: AbortSignal,
  action: () => Promise<T>,
): Promise<T> =>
  retry(action, {
    clock,
    pauseMs: RETRY_MS.waitedFor,
    signal,
    onFailure: (error) => {
      if (!isTransient(error)) throw error;
    },
  });

/**
 * Publishes until it is known whether the message is stored, through outages and lost acknowledgements. The broker refuses a repeated
 * message as a conflict, so a conflict is resolved by reading the last message (docs/design/broker-protocol.md#cas-before-deduplication).
 * @returns the message's sequence; undefined: another writer was first.
 */
export function publishUntilKnown(
  broker: Broker,
  stream: string,
  publication: ExpectingPublication,
  signal: AbortSignal,
): Promise<number | undefined> {
  return retryWhileUnavailable(broker, signal, async () => {
    const seq = await publishExpecting(broker, publication);
    if (seq !== undefined) return seq;
    const last = await lastBySubject(broker, stream, publication.expect.filter);
    return last?.header(HEADER.msgId) === publication.msgId ? last.seq : undefined;
  });
}
