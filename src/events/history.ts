import { STREAM } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { eventIn } from '../broker/events.js';
import { bySequence } from '../broker/read.js';
import type { StreamPosition } from '../../contracts/wire/cursor.js';

/** The id of the event at a sequence. Undefined: it was deleted. @throws {BrokerError} */
export async function eventIdAt(broker: Broker, seq: number): Promise<string | undefined> {
  if (seq === 0) return undefined;
  const stored = await bySequence(broker, STREAM.events, seq);
  // The hub gives malformed events an empty id too.
  return stored === undefined ? undefined : (eventIn(stored.data)?.id ?? '');
}

/** Whether the stream still has the position's event at its sequence. True if the event's id is unknown or the event was deleted. @throws {BrokerError} */
export async function isSameHistory(broker: Broker, { seq, eventId }: StreamPosition): Promise<boolean> {
  if (eventId === undefined) return true;
  const id = await eventIdAt(broker, seq);
  return id === undefined || id === eventId;
}
