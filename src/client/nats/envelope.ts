import type { BlobRef } from '../../../contracts/wire/blob.js';
import { withBody, type EventEnvelope, type StoredEvent } from '../../../contracts/events/events.js';
import { encodeCursor } from '../../../contracts/wire/cursor.js';
import type { Connected } from './connection.js';

interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
}

const DECODER = new TextDecoder();

/** An event as the bridges of an API give it: with its place in the stream, and the body that was too large for a message. */
export async function envelopeOf(
  { seq, subject, data }: StoredMessage,
  incarnation: string,
  { bodies }: Connected,
): Promise<EventEnvelope> {
  const event = JSON.parse(DECODER.decode(data)) as StoredEvent;
  const { ref, ...rest } = event.data as Record<string, unknown> & { readonly ref?: BlobRef };
  const whole = ref === undefined ? event.data : await fetched(event.type, rest, ref, bodies);
  return { ...event, data: whole, seq, cursor: encodeCursor({ incarnation, seq }), subject };
}

async function fetched(
  type: string,
  data: Record<string, unknown>,
  ref: BlobRef,
  bodies: Connected['bodies'],
): Promise<Record<string, unknown>> {
  const body = await (await bodies()).getBlob(ref.name);
  // The body is gone, the fact is not: it is told with its reference.
  if (body === null) return { ...data, ref };
  return withBody(type, data, JSON.parse(DECODER.decode(body)));
}
