import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import { eventBlob, type Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import type { Publication } from '../../src/broker/publish.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import type { OutboxItem } from './outbox.js';

/** The publication of an event. If the event is too large for a message, its body is stored as an object and the event has a reference. */
export async function withBodyStored(
  { event, publication, bytes, restore = whole }: OutboxItem,
  taskId: string,
  { broker, blobs }: { broker: Broker; blobs: Blobs },
  signal: AbortSignal,
): Promise<Publication> {
  if (!blobs.needed(bytes)) return publication;
  const { message, output, input, text, ...rest } = event.data as Record<string, unknown>;
  const body = JSON.stringify(message ?? output ?? input ?? text);
  const ref = await retryWhileUnavailable(broker, signal, () => blobs.put(eventBlob(taskId, event.id), restore(body)));
  return { ...publication, payload: JSON.stringify({ ...event, v: FORMAT_VERSION, data: { ...rest, ref } }) };
}

const whole = (json: string): Iterable<Buffer> => [Buffer.from(json)];
