import type { Broker } from './connect.js';
import { asBrokerError } from './read.js';

/**
 * Deletes every message whose subject matches `filter`. Nothing is left of them: no mark, and no consumer.
 * @param upTo the last sequence that goes. Default: all. @throws {BrokerError}
 */
export async function purge(broker: Broker, stream: string, filter: string, upTo = Infinity): Promise<void> {
  try {
    await broker.jsm.streams.purge(stream, upTo === Infinity ? { filter } : { filter, seq: upTo + 1 });
  } catch (error) {
    throw asBrokerError(error, `deleting ${filter}`);
  }
}
