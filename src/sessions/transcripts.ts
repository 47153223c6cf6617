import { uuidv7 } from '../uuid.js';
import { LARGE_BODY_BYTES, type BlobRef } from '../../contracts/wire/blob.js';
import { FORMAT_VERSION, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Session, TranscriptEntry } from '../../contracts/sessions/sessions.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { MAX_BATCH, type Publication } from '../broker/publish.js';
import { streamPosition, subjectsOf } from '../broker/read.js';
import {
  foldPart,
  foldTranscript,
  MAX_BODY_BYTES,
  splitEntries,
  type TranscriptBody,
  type TranscriptMessage,
} from './transcript/fold.js';
import { decodeSubkey, encodeSubkey, readTranscript } from './transcript/read.js';
import { ApiError, invalid } from '../errors/api-error.js';

/** Long enough for the largest request body. */
const STORE_TIMEOUT_MS = 30_000;

type Whose = Pick<Session, 'session_id' | 'owner'>;

/** A session's transcript and those of its subagents. */
export interface WholeTranscript {
  readonly entries: readonly TranscriptEntry[];
  /** By the path that Claude Code gives them. */
  readonly subagents: Readonly<Record<string, readonly TranscriptEntry[]>>;
}

/** Reads and writes whole transcripts of sessions without a running task. */
export class Transcripts {
  readonly #broker: Broker;
  readonly #blobs: Blobs;

  constructor(broker: Broker, blobs: Blobs) {
    this.#broker = broker;
    this.#blobs = blobs;
  }

  /** The current transcript. Entries that are too large to show are replaced by an entry that says so. @throws {BrokerError} */
  async main(sessionId: string): Promise<readonly TranscriptEntry[]> {
    const { lastSeq } = await streamPosition(this.#broker, STREAM.transcripts);
    return foldTranscript(await this.#read(SUBJECT.transcript(sessionId), lastSeq, named));
  }

  /** @throws {BrokerError} @throws {ApiError} answer_too_large */
  async whole(sessionId: string): Promise<WholeTranscript> {
    const { lastSeq } = await streamPosition(this.#broker, STREAM.transcripts);
    const main = await this.#read(SUBJECT.transcript(sessionId), lastSeq, refused);
    const subagents: Record<string, readonly TranscriptEntry[]> = {};
    for (const subject of await this.#subjects(sessionId)) {
      const part = await this.#read(subject, lastSeq, refused);
      subagents[decodeSubkey(subject.slice(subject.lastIndexOf('.') + 1))] = foldPart(part, main);
    }
    return { entries: foldTranscript(main), subagents };
  }

  /** Stores a new transcript atomically. @throws {BrokerError} conflict if there is one already. @throws {ApiError} invalid_request */
  async store(session: Whose, { entries, subagents }: WholeTranscript): Promise<void> {
    const { session_id: sessionId } = session;
    const parts: Publication[] = [];
    for (const [subkey, part] of Object.entries(subagents))
      parts.push(...(await this.#publications(session, SUBJECT.transcriptSub(sessionId, encodeSubkey(subkey)), part)));
    const filter = SUBJECT.transcript(sessionId);
    const [first, ...rest] = await this.#publications(session, filter, entries);
    // The first message carries the compare-and-set. Without entries there is nothing to store.
    if (first === undefined) return;
    const all = [{ ...first, expect: { filter, seq: 0 } }, ...rest, ...parts];
    if (all.length > MAX_BATCH) throw invalid([{ field: 'subagents', message: 'are too many' }]);
    await this.#broker.publisher.publishBatch(all, STORE_TIMEOUT_MS);
  }

  async #publications(
    { session_id: sessionId, owner }: Whose,
    subject: string,
    entries: readonly TranscriptEntry[],
  ): Promise<Publication[]> {
    const headers = { [HEADER.owner]: owner };
    const publications: Publication[] = [];
    for (const body of splitEntries(entries, MAX_BODY_BYTES))
      publications.push({ subject, payload: await this.#payload(sessionId, body), headers });
    return publications;
  }

  async #payload(sessionId: string, body: string): Promise<string> {
    const bytes = Buffer.from(body);
    if (!this.#blobs.needed(bytes.length)) return body;
    const ref = await this.#blobs.put(`transcript/${sessionId}/${uuidv7()}`, bytes);
    return JSON.stringify({ v: FORMAT_VERSION, ref } satisfies TranscriptBody);
  }

  #read(subject: string, upTo: number, large: (ref: BlobRef) => Uint8Array): Promise<TranscriptMessage[]> {
    return readTranscript({ broker: this.#broker, bodyOf: (ref) => this.#body(ref, large), subject, upTo });
  }

  async #body(ref: BlobRef, large: (ref: BlobRef) => Uint8Array): Promise<Uint8Array> {
    return ref.size > LARGE_BODY_BYTES ? large(ref) : this.#blobs.get(ref);
  }

  async #subjects(sessionId: string): Promise<string[]> {
    const subjects = await subjectsOf(this.#broker, STREAM.transcripts, SUBJECT.transcriptSub(sessionId, '*'));
    return subjects.filter((subject) => subject !== SUBJECT.sessionWorkspace(sessionId));
  }
}

function named({ size }: BlobRef): Uint8Array {
  const content = `Entries of ${size} bytes in total are too large to show here. Claude still reads them when the session continues.`;
  const entry = { type: 'ksi_large_entries', uuid: uuidv7(), size, content };
  return Buffer.from(JSON.stringify({ v: FORMAT_VERSION, entries: [entry] } satisfies TranscriptBody));
}

function refused({ size }: BlobRef): never {
  throw new ApiError(
    'answer_too_large',
    `The session has entries of ${size} bytes in total, which is too large for an export`,
  );
}
