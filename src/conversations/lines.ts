import { check } from '../../contracts/wire/check.js';
import {
  ANSWER_MESSAGE,
  LineRecord,
  type BeginsAfter,
  type Line,
} from '../../contracts/conversations/conversations.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { BUCKET, NOBODY, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { BrokerError } from '../broker/errors.js';
import { readEntry } from '../broker/kv.js';
import { purge } from '../broker/purge.js';
import { deleteMessage, streamPosition } from '../broker/read.js';
import { readStream } from '../broker/replay.js';
import { parseJson } from '../json.js';

/** The size of a line without its text. */
const ENVELOPE_BYTES = 4_096;

const AT_ONCE = 16;

/** The transcripts of conversations. A line is stored under its id before the record that lists it, so that storing it again changes nothing. */
export class ConversationLines {
  readonly #broker: Broker;
  readonly #blobs: Blobs;

  constructor(broker: Broker, blobs: Blobs) {
    this.#broker = broker;
    this.#blobs = blobs;
  }

  /** The text as a line contains it: a text too large for a line is stored as an object. @throws {BrokerError} */
  async textFor(conversationId: string, lineId: string, text: string): Promise<{ text?: string; ref?: BlobRef }> {
    if (text === '') return {};
    if (!this.#blobs.needed(Buffer.byteLength(JSON.stringify(text)) + ENVELOPE_BYTES)) return { text };
    return { ref: await this.#blobs.put(blobOf(conversationId, lineId), Buffer.from(text)) };
  }

  /** @throws {BrokerError} */
  async put(conversationId: string, line: LineRecord): Promise<void> {
    const subject = SUBJECT.conversationLine(conversationId, line.id);
    await this.#broker.publisher.publish({ subject, payload: JSON.stringify(line) });
  }

  /** In the order of `ids`. @throws {BrokerError} */
  async read(conversationId: string, ids: readonly string[]): Promise<Line[]> {
    const lines: Line[] = [];
    for (let at = 0; at < ids.length; at += AT_ONCE)
      lines.push(...(await Promise.all(ids.slice(at, at + AT_ONCE).map((id) => this.#line(conversationId, id)))));
    return lines;
  }

  /** The current ends of the streams, before which a new conversation has no messages. @throws {BrokerError} */
  async beginsAfter(): Promise<BeginsAfter> {
    const [events, messages] = await Promise.all(
      [STREAM.events, STREAM.messages].map(async (stream) => (await streamPosition(this.#broker, stream)).lastSeq),
    );
    return { events: events ?? 0, messages: messages ?? 0 };
  }

  /** Deletes a conversation's lines, events, objects and answers. @param begins where to look for answers: by default, everywhere. @throws {BrokerError} */
  async delete(conversationId: string, begins: BeginsAfter = { events: 0, messages: 0 }): Promise<void> {
    await purge(this.#broker, `KV_${BUCKET.conversationLines}`, SUBJECT.conversationLines(conversationId));
    await purge(this.#broker, STREAM.events, SUBJECT.conversationEvents(conversationId));
    for (const [where, stream, filter] of ANSWERS)
      await this.#deleteAnswers(stream, filter, conversationId, begins[where]);
    await this.#blobs.deleteBelow(blobOf(conversationId, ''));
    await this.#blobs.deleteBelow(eventBlobOf(conversationId, ''));
  }

  /** The answers of all conversations have the same subject, so each must be read. */
  async #deleteAnswers(stream: string, filter: string, conversationId: string, begins: number): Promise<void> {
    // The sequences of a re-created stream start again at 1.
    const after = (await streamPosition(this.#broker, stream)).lastSeq < begins ? 0 : begins;
    for await (const stored of readStream(this.#broker, stream, filter, after, Number.MAX_SAFE_INTEGER)) {
      const { data } = (parseJson(stored.data) ?? {}) as Partial<StoredEvent<'AGENT_MESSAGE'>>;
      if (data?.conversation_id !== conversationId) continue;
      if (data.ref !== undefined) await this.#blobs.delete(data.ref.name);
      await deleteMessage(this.#broker, stream, stored.seq);
    }
  }

  async #line(conversationId: string, id: string): Promise<Line> {
    const subject = SUBJECT.conversationLine(conversationId, id);
    const { data } = await readEntry(this.#broker, `KV_${BUCKET.conversationLines}`, subject);
    const line = check(LineRecord, data === undefined ? undefined : parseJson(data));
    if (!line.ok) throw new BrokerError('refused', `The line ${id} of the conversation ${conversationId} is missing`);
    const { ref, text = '', ...rest } = line.value;
    return { ...rest, text: ref === undefined ? text : new TextDecoder().decode(await this.#blobs.get(ref)) };
  }
}

/** The two streams that store answers, and the answers' subjects in them. */
const ANSWERS = [
  ['events', STREAM.events, SUBJECT.agentMessage(NOBODY, ANSWER_MESSAGE)],
  ['messages', STREAM.messages, SUBJECT.messageStored(ANSWER_MESSAGE, NOBODY)],
] as const;

const blobOf = (conversationId: string, lineId: string): string => `conversation/${conversationId}/${lineId}`;
/** The name of the object that contains the text of an event. */
export const eventBlobOf = (conversationId: string, lineId: string): string =>
  `event/conversation/${conversationId}/${lineId}`;
