import { STREAM } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { eventIn } from '../broker/events.js';
import { bySequence } from '../broker/read.js';
import type { Position } from '../../contracts/wire/cursor.js';

/** The id of the event at a sequence; undefined: the event was deleted or has aged out. @throws {BrokerError} */
export async function eventIdAt(broker: Broker, seq: number): Promise<string | undefined> {
  if (seq === 0) return undefined;
  const stored = await bySequence(broker, STREAM.events, seq);
  // Of what is no event, the hub says no id either.
  return stored === undefined ? undefined : (eventIn(stored.data)?.id ?? '');
}

/** Whether the stream has the position's event where it was. An event whose id is not known, or that is gone, proves nothing. @throws {BrokerError} */
export async function isOfThisHistory(broker: Broker, { seq, eventId }: Position): Promise<boolean> {
  if (eventId === undefined) return true;
  const id = await eventIdAt(broker, seq);
  return id === undefined || id === eventId;
}
