import {
  foldSessionSummary,
  type SessionKey,
  type SessionStore,
  type SessionStoreEntry,
  type SessionSummaryEntry,
} from '@anthropic-ai/claude-agent-sdk';
import { v7 as uuidv7 } from 'uuid';
import type { WorkspaceBinding } from '../../contracts/tasks/workspace.js';
import { FORMAT_VERSION, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { lastBySubject, subjectsOf } from '../../src/broker/read.js';
import { isRecord } from '../../src/json.js';
import { publishCertainly, whileUnavailable } from '../../src/broker/certain.js';
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

/** The last sequence of a session's transcript; 0: there is none. @throws {BrokerError} */
export const lastTranscriptSeq = async (broker: Broker, sessionId: string): Promise<number> =>
  (await lastBySubject(broker, STREAM.transcripts, SUBJECT.transcript(sessionId)))?.seq ?? 0;

/** The same, and that of its subagents' parts, which may go on after its own. @throws {BrokerError} */
export async function transcriptEnd(broker: Broker, sessionId: string): Promise<{ last: number; from: number }> {
  const [last, sub] = await Promise.all([
    lastTranscriptSeq(broker, sessionId),
    lastBySubject(broker, STREAM.transcripts, SUBJECT.transcriptSub(sessionId, '*')),
  ]);
  return { last, from: Math.max(last, sub?.seq ?? 0) };
}

/**
 * Makes what the lost attempts of a task wrote after `to` void, and refuses whatever they might still append.
 * @param holds whether the caller's attempt is still the one that runs; asked between reading and writing, so that one which
 * was taken over meanwhile voids nothing of what came after it.
 * @returns the transcript's new last sequence; undefined when the attempt doesn't hold any more.
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
    // In this order: whoever takes over afterwards writes here too, and makes the expectation fail.
    const seq = await whileUnavailable(broker, signal, () => lastTranscriptSeq(broker, sessionId));
    if (!(await whileUnavailable(broker, signal, holds))) return undefined;
    // On a conflict the lost attempt, still alive, was quicker once more.
    const headers = { [HEADER.owner]: owner };
    const marker = { subject: filter, payload, msgId: uuidv7(), headers, expect: { filter, seq } };
    const stored = await publishCertainly(broker, STREAM.transcripts, marker, signal);
    if (stored !== undefined) return stored;
  }
}

export interface TranscriptOptions {
  broker: Broker;
  blobs: Blobs;
  sessionId: string;
  /** Of the task. */
  owner: string;
  /** The sequence that the attempt resumes from: what came later does not count. */
  from: number;
  /** The transcript's last sequence when the attempt began: `from`, or that of its rewind. */
  last: number;
  /** What is not to be kept. */
  redaction: Redaction;
  /** Of which its large entries lack values, those that are read too. */
  large: LargeValues;
  /** Ends the attempts to reach the broker. */
  signal: AbortSignal;
  /** Told what Claude appends, before it is stored. */
  onAppend?: (entries: readonly SessionStoreEntry[]) => void;
}

/**
 * A session's transcript, for one attempt, as the SDK's SessionStore. KSI's session id is the only key: the SDK's
 * `projectKey` comes from a folder, which differs from host to host.
 *
 * Every append, those of subagents included, expects the main transcript's last sequence to be its own last one
 * (docs/design/broker-protocol.md#transcripts): an attempt that was taken over is refused.
 */
export class Transcript implements SessionStore {
  /** Why it could not be read or stored, once that happened. */
  failure: string | undefined;
  readonly #options: TranscriptOptions;
  readonly #filter: string;
  #from: number;
  #last: number;
  #appends: Promise<void> = Promise.resolve();
  /** Read once for the questions before the run; not kept during it. */
  #mainRead: Promise<TranscriptMessage[]> | undefined;

  constructor(options: TranscriptOptions) {
    this.#options = options;
    this.#filter = SUBJECT.transcript(options.sessionId);
    this.#from = options.from;
    this.#last = options.last;
  }

  /** What was appended so far is what the attempt resumes from. */
  settle(): void {
    this.#from = this.#last;
  }

  /** Whether there is something to resume. @throws {BrokerError} */
  async exists(): Promise<boolean> {
    try {
      return (await this.#entries(this.#filter)).length > 0;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** The working folder that the session is bound to; undefined: none, or its own. @throws {BrokerError} */
  workspace(): Promise<string | undefined> {
    const { broker, sessionId, signal } = this.#options;
    return whileUnavailable(broker, signal, () => boundWorkspace(broker, sessionId));
  }

  /** Binds the session to a working folder, before it begins there. */
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

  /** Appends in the order of the calls, also when those overlap. */
  append(key: SessionKey, given: SessionStoreEntry[]): Promise<void> {
    // Claude's mirror may hold any JSON. An entry that is no object says nothing and would break every reader.
    const entries = given.filter(isRecord);
    this.#options.onAppend?.(entries);
    const done = this.#appends.then(() => this.#append(this.#subject(key.subpath), entries));
    // The caller hears of a failure; the next append is not its consequence.
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

  /** Without rewinds what was stored is what there is. */
  async #holds(subject: string): Promise<boolean> {
    const rewound = (await this.#main()).some(({ body }) => body.rewind_to !== undefined);
    return !rewound || (await this.#entries(subject)).length > 0;
  }

  /** With `subpath` a subagent's alone. What is deleted is void from now on; its bytes go with the session (DELETE /sessions/:id). */
  async delete(key: SessionKey): Promise<void> {
    await this.#appends;
    const body = { v: FORMAT_VERSION, rewind_to: 0 } satisfies TranscriptBody;
    await this.#store(this.#subject(key.subpath), uuidv7(), JSON.stringify(body));
  }

  /** This session, if it holds anything; a store knows no other. */
  async listSessions(): Promise<{ sessionId: string; mtime: number }[]> {
    const { sessionId } = this.#options;
    return (await this.exists()) ? [{ sessionId, mtime: await this.#mtime() }] : [];
  }

  /** Folded by the SDK from what it appended: the transcript holds all that a summary kept beside it would. */
  async listSessionSummaries(projectKey: string): Promise<SessionSummaryEntry[]> {
    const { sessionId } = this.#options;
    const entries = await this.load({ projectKey, sessionId });
    if (entries === null) return [];
    return [foldSessionSummary(undefined, { projectKey, sessionId }, entries, { mtime: await this.#mtime() })];
  }

  async #mtime(): Promise<number> {
    const { broker, signal } = this.#options;
    const last = await whileUnavailable(broker, signal, () => lastBySubject(broker, STREAM.transcripts, this.#filter));
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
    const seq = await publishCertainly(broker, STREAM.transcripts, publication, signal);
    if (seq === undefined) throw this.#failed(new Error('Another attempt has taken the session over'));
    if (subject === this.#filter) this.#last = seq;
  }

  async #payload(id: string, body: string): Promise<string> {
    const { broker, blobs, sessionId, signal, large, redaction } = this.#options;
    const added = large.added(body);
    if (!blobs.needed(Buffer.byteLength(body) + added)) return body;
    const ref = await whileUnavailable(broker, signal, () =>
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
    const step = <T>(action: () => Promise<T>): Promise<T> => whileUnavailable(broker, signal, action);
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
