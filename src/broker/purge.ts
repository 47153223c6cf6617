import type { Broker } from './connect.js';
import { brokerErrorOf } from './errors.js';

/** The broker may have to read many blocks of a large stream. A lost connection rejects at once. */
const WITHIN_MS = 10_000;

/**
 * Deletes every message whose subject matches `filter`, without deletion markers.
 * @param upTo the last sequence to delete. Default: all. @throws {BrokerError}
 */
export async function purge(broker: Broker, stream: string, filter: string, upTo = Infinity): Promise<void> {
  const request = upTo === Infinity ? { filter } : { filter, seq: upTo + 1 };
  const { error } = await broker.publisher.ask(`STREAM.PURGE.${stream}`, request, WITHIN_MS);
  if (error !== undefined) throw brokerErrorOf(error, `deleting ${filter}`);
}
