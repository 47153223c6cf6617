import { STREAM } from '../../../contracts/wire/names.js';
import { BlobRef } from '../../../contracts/wire/blob.js';
import { check } from '../../../contracts/wire/check.js';
import type { Broker } from '../../broker/connect.js';
import { nextBySubject, type Stored } from '../../broker/read.js';
import { isRecord, parseJson } from '../../json.js';
import type { TranscriptBody, TranscriptMessage } from './fold.js';

export interface ReadTranscriptOptions {
  readonly broker: Broker;
  /** Reads what lies in the object store. */
  readonly bodyOf: (ref: BlobRef) => Promise<Uint8Array>;
  /** The main transcript's, or a subagent's. */
  readonly subject: string;
  /** What came later doesn't count. */
  readonly upTo: number;
  /** How each step is taken: a worker repeats it while the broker is away. */
  readonly step?: <T>(action: () => Promise<T>) => Promise<T>;
}

/** The messages of a session's transcript, in order, with the bodies that lie in the object store; without bad ones. @throws {BrokerError} */
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

/** @returns undefined when it is not what a transcript holds, which must not keep all else of it from its readers. */
function bodyIn(data: Uint8Array): TranscriptBody | undefined {
  const body = parseJson(data);
  if (!isRecord(body)) return undefined;
  const { entries, rewind_to: to, ref } = body;
  // Not by a schema: a transcript may have millions of values, and each reader of its entries looks at what it takes of them.
  const isBody =
    (entries === undefined || Array.isArray(entries)) &&
    (to === undefined || Number.isSafeInteger(to)) &&
    (ref === undefined || check(BlobRef, ref).ok);
  return isBody ? (body as unknown as TranscriptBody) : undefined;
}

/** A subkey is a path; a subject's token holds neither dots nor spaces. */
export const encodeSubkey = (subkey: string): string => Buffer.from(subkey).toString('base64url');
export const decodeSubkey = (token: string): string => Buffer.from(token, 'base64url').toString();
