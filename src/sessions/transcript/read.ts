import { STREAM } from '../../../contracts/wire/names.js';
import { BlobRef } from '../../../contracts/wire/blob.js';
import { check } from '../../../contracts/wire/check.js';
import type { Broker } from '../../broker/connect.js';
import { nextBySubject, type Stored } from '../../broker/read.js';
import { isRecord, parseJson } from '../../json.js';
import type { TranscriptBody, TranscriptMessage } from './fold.js';

export interface ReadTranscriptOptions {
  readonly broker: Broker;
  /** Reads a body from the object store. */
  readonly bodyOf: (ref: BlobRef) => Promise<Uint8Array>;
  /** The subject of the main transcript or of a subagent's. */
  readonly subject: string;
  /** Ignore later messages. */
  readonly upTo: number;
  /** Wraps each read. A worker passes a retry. Default: none. */
  readonly step?: <T>(action: () => Promise<T>) => Promise<T>;
}

/** The messages of a transcript, in order, with their bodies from the object store. Skips malformed ones. @throws {BrokerError} */
export async function readTranscript({
  broker,
  bodyOf,
  subject,
  upTo,
  step = (action) => action(),
}: ReadTranscriptOptions): Promise<TranscriptMessage[]> {
  const whole = async (stored: Stored): Promise<TranscriptBody | undefined> => {
    const body = bodyIn(stored.data);
    const ref = body?.ref;
    return ref === undefined ? body : bodyIn(await step(() => bodyOf(ref)));
  };
  const messages: TranscriptMessage[] = [];
  for (let seq = 1; seq <= upTo;) {
    const stored = await step(() => nextBySubject(broker, STREAM.transcripts, subject, seq));
    if (stored === undefined || stored.seq > upTo) break;
    const body = await whole(stored);
    if (body !== undefined) messages.push({ seq: stored.seq, body });
    seq = stored.seq + 1;
  }
  return messages;
}

/** @returns undefined for a malformed body, so that it does not make the rest unreadable. */
function bodyIn(data: Uint8Array): TranscriptBody | undefined {
  const body = parseJson(data);
  if (!isRecord(body)) return undefined;
  const { entries, rewind_to: to, ref } = body;
  // No schema check: a transcript may have millions of values, and readers check the fields that they use.
  const isBody =
    (entries === undefined || Array.isArray(entries)) &&
    (to === undefined || Number.isSafeInteger(to)) &&
    (ref === undefined || check(BlobRef, ref).ok);
  return isBody ? (body as unknown as TranscriptBody) : undefined;
}

/** A subkey is a path, but a subject token must not contain dots or spaces. */
export const encodeSubkey = (subkey: string): string => Buffer.from(subkey).toString('base64url');
export const decodeSubkey = (token: string): string => Buffer.from(token, 'base64url').toString();
