import {
  foldSessionSummary,
  type SessionKey,
  type SessionStore,
  type SessionStoreEntry,
  type SessionSummaryEntry,
} from '@anthropic-ai/claude-agent-sdk';
import { uuidv7 } from '../../src/uuid.js';
import type { WorkspaceBinding } from '../../contracts/tasks/workspace.js';
import { FORMAT_VERSION, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { lastBySubject, subjectsOf } from '../../src/broker/read.js';
import { isRecord } from '../../src/json.js';
import { publishUntilKnown, retryWhileUnavailable } from '../../src/broker/until-known.js';
import {
  foldPart,
  foldTranscript,
  MAX_BODY_BYTES,
  splitEntries,
  type TranscriptBody,
  type TranscriptMessage,
} from '../../src/sessions/transcript/fold.js';
import type { LargeValues } from './large-values.js';
import type { Redaction } from './redaction.js';
import { decodeSubkey, encodeSubkey, readTranscript } from '../../src/sessions/transcript/read.js';
import { boundWorkspace } from '../../src/sessions/transcript/workspace.js';

/** The last sequence of a session's transcript. 0: there is none. @throws {BrokerError} */
export const lastTranscriptSeq = async (broker: Broker, sessionId: string): Promise<number> =>
  (await lastBySubject(broker, STREAM.transcripts, SUBJECT.transcript(sessionId)))?.seq ?? 0;

/** The last sequences of a transcript, without (`last`) and with its subagents' parts (`from`). @throws {BrokerError} */
export async function transcriptEnd(broker: Broker, sessionId: string): Promise<{ last: number; from: number }> {
  const [last, sub] = await Promise.all([
    lastTranscriptSeq(broker, sessionId),
    lastBySubject(broker, STREAM.transcripts, SUBJECT.transcriptSub(sessionId, '*')),
  ]);
  return { last, from: Math.max(last, sub?.seq ?? 0) };
}

/**
 * Rewinds a transcript to `to`: voids the entries that lost attempts wrote after it, and fences their later appends.
 * @param holds whether the caller's attempt is still current. Called between the read and the write, so that an attempt that was taken over
 * voids none of its successor's entries.
 * @returns the transcript's new last sequence. Undefined: the attempt is no longer current.
 * @throws {BrokerError} and when `signal` aborts.
 */
export async function rewindTranscript(
  broker: Broker,
  { session_id: sessionId, owner }: { session_id: string; owner: string },
  to: number,
  holds: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<number | undefined> {
  const filter = SUBJECT.transcript(sessionId);
  const payload = JSON.stringify({ v: FORMAT_VERSION, rewind_to: to } satisfies TranscriptBody);
  for (;;) {
    // This order matters: a successor's write makes the expectation fail.
    const seq = await retryWhileUnavailable(broker, signal, () => lastTranscriptSeq(broker, sessionId));
    if (!(await retryWhileUnavailable(broker, signal, holds))) return undefined;
    // On a conflict, the lost attempt is still running and appended another entry.
    const headers = { [HEADER.owner]: owner };
    const marker = { subject: filter, payload, msgId: uuidv7(), headers, expect: { filter, seq } };
    const stored = await publishUntilKnown(broker, STREAM.transcripts, marker, signal);
    if (stored !== undefined) return stored;
  }
}

export interface TranscriptOptions {
  broker: Broker;
  blobs: Blobs;
  sessionId: string;
  /** The task's owner. */
  owner: string;
  /** The sequence from which the attempt resumes. Later entries do not count. */
  from: number;
  /** The transcript's last sequence when the attempt began: `from`, or that of its rewind. */
  last: number;
  /** Removes credentials before entries are stored. */
  redaction: Redaction;
  /** The large values that were taken out of entries, both read and appended. */
  large: LargeValues;
  /** Ends retries while the broker is unavailable. */
  signal: AbortSignal;
  /** Receives the entries that Claude appends, before they are stored. */
  onAppend?: (entries: readonly SessionStoreEntry[]) => void;
}

/**
 * A session's transcript, for one attempt, as the SDK's SessionStore. KSI's session id is the only key: the SDK's
 * `projectKey` comes from a folder, which differs from host to host.
 *
 * Every append, including those of subagents, expects the main transcript's last sequence to be this attempt's own
 * (docs/design/broker-protocol.md#transcripts). The appends of an attempt that was taken over are refused.
 */
export class Transcript implements SessionStore {
  /** Why the transcript could not be read or stored. Undefined: no failure so far. */
  failure: string | undefined;
  readonly #options: TranscriptOptions;
  readonly #filter: string;
  #from: number;
  #last: number;
  #appends: Promise<void> = Promise.resolve();
  /** Read once for the checks before the run. Not kept during the run. */
  #mainRead: Promise<TranscriptMessage[]> | undefined;

  constructor(options: TranscriptOptions) {
    this.#options = options;
    this.#filter = SUBJECT.transcript(options.sessionId);
    this.#from = options.from;
    this.#last = options.last;
  }

  /** Makes the entries so far the ones from which the attempt resumes. */
  settle(): void {
    this.#from = this.#last;
  }

  /** Whether there are entries to resume from. @throws {BrokerError} */
  async exists(): Promise<boolean> {
    try {
      return (await this.#entries(this.#filter)).length > 0;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** The workspace to which the session is bound. Undefined: none, or the session has its own folder. @throws {BrokerError} */
  workspace(): Promise<string | undefined> {
    const { broker, sessionId, signal } = this.#options;
    return retryWhileUnavailable(broker, signal, () => boundWorkspace(broker, sessionId));
  }

  /** Binds the session to a workspace. Call it before the session begins there. */
  async bind(workspace: string): Promise<void> {
    const binding = { v: FORMAT_VERSION, workspace } satisfies WorkspaceBinding;
    await this.#store(SUBJECT.sessionWorkspace(this.#options.sessionId), uuidv7(), JSON.stringify(binding));
  }

  async load(key: SessionKey): Promise<SessionStoreEntry[] | null> {
    try {
      const entries = await this.#entries(this.#subject(key.subpath));
      return entries.length === 0 ? null : entries;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Appends in the order of the calls, even if calls overlap. */
  append(key: SessionKey, given: SessionStoreEntry[]): Promise<void> {
    // Claude's mirror may contain any JSON. An entry that is not an object has no meaning and would break readers.
    const entries = given.filter(isRecord);
    this.#options.onAppend?.(entries);
    const done = this.#appends.then(() => this.#append(this.#subject(key.subpath), entries));
    // The caller receives the failure. Later appends are tried independently.
    this.#appends = done.catch(() => undefined);
    return done;
  }

  async listSubkeys(): Promise<string[]> {
    const prefix = `${this.#filter}.`;
    try {
      const { broker, sessionId } = this.#options;
      const all = await subjectsOf(broker, STREAM.transcripts, `${prefix}>`);
      const subjects = all.filter((subject) => subject !== SUBJECT.sessionWorkspace(sessionId));
      const kept = await Promise.all(subjects.map((subject) => this.#holds(subject)));
      return subjects.filter((_subject, n) => kept[n]).map((subject) => decodeSubkey(subject.slice(prefix.length)));
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Without rewinds all stored entries count. */
  async #holds(subject: string): Promise<boolean> {
    const rewound = (await this.#main()).some(({ body }) => body.rewind_to !== undefined);
    return !rewound || (await this.#entries(subject)).length > 0;
  }

  /** Voids the entries, or with `subpath` only a subagent's. Their bytes are deleted with the session (DELETE /sessions/:id). */
  async delete(key: SessionKey): Promise<void> {
    await this.#appends;
    const body = { v: FORMAT_VERSION, rewind_to: 0 } satisfies TranscriptBody;
    await this.#store(this.#subject(key.subpath), uuidv7(), JSON.stringify(body));
  }

  /** Lists this session, if it has entries. The store has no other session. */
  async listSessions(): Promise<{ sessionId: string; mtime: number }[]> {
    const { sessionId } = this.#options;
    return (await this.exists()) ? [{ sessionId, mtime: await this.#mtime() }] : [];
  }

  /** Folded by the SDK from the transcript's entries, so no summary is stored separately. */
  async listSessionSummaries(projectKey: string): Promise<SessionSummaryEntry[]> {
    const { sessionId } = this.#options;
    const entries = await this.load({ projectKey, sessionId });
    if (entries === null) return [];
    return [foldSessionSummary(undefined, { projectKey, sessionId }, entries, { mtime: await this.#mtime() })];
  }

  async #mtime(): Promise<number> {
    const { broker, signal } = this.#options;
    const last = await retryWhileUnavailable(broker, signal, () =>
      lastBySubject(broker, STREAM.transcripts, this.#filter),
    );
    return last?.time() ?? 0;
  }

  #subject(subpath: string | undefined): string {
    return subpath === undefined ? this.#filter : SUBJECT.transcriptSub(this.#options.sessionId, encodeSubkey(subpath));
  }

  async #append(subject: string, entries: SessionStoreEntry[]): Promise<void> {
    try {
      for (const body of splitEntries(this.#options.redaction.in(entries), MAX_BODY_BYTES)) {
        const msgId = uuidv7();
        const payload = await this.#payload(msgId, body);
        await this.#store(subject, msgId, payload);
      }
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async #store(subject: string, msgId: string, payload: string): Promise<void> {
    const { broker, owner, signal } = this.#options;
    this.#mainRead = undefined;
    const headers = { [HEADER.owner]: owner };
    const publication = { subject, payload, msgId, headers, expect: { filter: this.#filter, seq: this.#last } };
    const seq = await publishUntilKnown(broker, STREAM.transcripts, publication, signal);
    if (seq === undefined) throw this.#failed(new Error('Another attempt has taken the session over'));
    if (subject === this.#filter) this.#last = seq;
  }

  async #payload(id: string, body: string): Promise<string> {
    const { broker, blobs, sessionId, signal, large, redaction } = this.#options;
    const added = large.added(body);
    if (!blobs.needed(Buffer.byteLength(body) + added)) return body;
    const ref = await retryWhileUnavailable(broker, signal, () =>
      blobs.put(`transcript/${sessionId}/${id}`, large.restore(body, redaction)),
    );
    return JSON.stringify({ v: FORMAT_VERSION, ref } satisfies TranscriptBody);
  }

  async #entries(subject: string): Promise<SessionStoreEntry[]> {
    const main = await this.#main();
    if (subject === this.#filter) return foldTranscript(main);
    return foldPart(await this.#read(subject), main);
  }

  #main(): Promise<TranscriptMessage[]> {
    this.#mainRead ??= this.#read(this.#filter);
    return this.#mainRead;
  }

  #read(subject: string): Promise<TranscriptMessage[]> {
    const { broker, blobs, signal, large } = this.#options;
    const step = <T>(action: () => Promise<T>): Promise<T> => retryWhileUnavailable(broker, signal, action);
    const bodyOf = async (ref: BlobRef): Promise<Uint8Array> => {
      const pieces: Buffer[] = [];
      for await (const { buffer, byteOffset, length } of blobs.chunks(ref))
        pieces.push(Buffer.from(buffer, byteOffset, length));
      return large.condense(pieces);
    };
    return readTranscript({ broker, bodyOf, subject, upTo: this.#from, step });
  }

  #failed(error: unknown): Error {
    const cause = error instanceof Error ? error : new Error(String(error));
    this.failure ??= cause.message;
    return cause;
  }
}
