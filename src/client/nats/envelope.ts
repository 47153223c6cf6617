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

/** Converts a stored event to the form in which the API sends it: with its sequence, cursor and subject, and with its body if that is a blob. */
export async function envelopeOf(
  { seq, subject, data }: StoredMessage,
  incarnation: string,
  { bodies }: Connected,
): Promise<EventEnvelope> {
  const event = JSON.parse(DECODER.decode(data)) as StoredEvent;
  const { ref, ...rest } = event.data as Record<string, unknown> & { readonly ref?: BlobRef };
  const whole = ref === undefined ? event.data : await withFetchedBody(event.type, rest, ref, bodies);
  return { ...event, data: whole, seq, cursor: encodeCursor({ incarnation, seq }), subject };
}

async function withFetchedBody(
  type: string,
  data: Record<string, unknown>,
  ref: BlobRef,
  bodies: Connected['bodies'],
): Promise<Record<string, unknown>> {
  const body = await (await bodies()).getBlob(ref.name);
  // The body was deleted, but the event was not. Keep the reference.
  if (body === null) return { ...data, ref };
  return withBody(type, data, JSON.parse(DECODER.decode(body)));
}
