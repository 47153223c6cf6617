import { STREAM } from '../../contracts/names.js';
import type { BlobRef } from '../../contracts/blob.js';
import type { Broker } from '../broker/connect.js';
import { nextBySubject, type Stored } from '../broker/read.js';
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

/** The messages of a session's transcript, in order, with the bodies that lie in the object store. @throws {BrokerError} */
export async function readTranscript({
  broker,
  bodyOf,
  subject,
  upTo,
  step = (action) => action(),
}: ReadTranscriptOptions): Promise<TranscriptMessage[]> {
  const whole = async (stored: Stored): Promise<TranscriptBody> => {
    const body = parse(stored.data);
    const { ref } = body;
    return ref === undefined ? body : parse(await step(() => bodyOf(ref)));
  };
  const messages: TranscriptMessage[] = [];
  for (let seq = 1; seq <= upTo;) {
    const stored = await step(() => nextBySubject(broker, STREAM.transcripts, subject, seq));
    if (stored === undefined || stored.seq > upTo) break;
    messages.push({ seq: stored.seq, body: await whole(stored) });
    seq = stored.seq + 1;
  }
  return messages;
}

const parse = (data: Uint8Array): TranscriptBody => JSON.parse(new TextDecoder().decode(data)) as TranscriptBody;

/** A subkey is a path; a subject's token holds neither dots nor spaces. */
export const encodeSubkey = (subkey: string): string => Buffer.from(subkey).toString('base64url');
export const decodeSubkey = (token: string): string => Buffer.from(token, 'base64url').toString();
