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

/** What a line takes beside its text. */
const ENVELOPE_BYTES = 4_096;
/** Read at once. */
const AT_ONCE = 16;

/** What was said in conversations. A line is written once under its id, before the state that knows of it, and again if need be. */
export class ConversationLines {
  readonly #broker: Broker;
  readonly #blobs: Blobs;

  constructor(broker: Broker, blobs: Blobs) {
    this.#broker = broker;
    this.#blobs = blobs;
  }

  /** What stands for a text in a line: a text too large for one lies apart. @throws {BrokerError} */
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

  /** Where a conversation that is made now begins. @throws {BrokerError} */
  async beginsAfter(): Promise<BeginsAfter> {
    const [events, messages] = await Promise.all(
      [STREAM.events, STREAM.messages].map(async (stream) => (await streamPosition(this.#broker, stream)).lastSeq),
    );
    return { events: events ?? 0, messages: messages ?? 0 };
  }

  /** All of a conversation, and the messages that were its answers. @param begins undefined: not known. @throws {BrokerError} */
  async remove(conversationId: string, begins: BeginsAfter = { events: 0, messages: 0 }): Promise<void> {
    await purge(this.#broker, `KV_${BUCKET.conversationLines}`, SUBJECT.conversationLines(conversationId));
    await purge(this.#broker, STREAM.events, SUBJECT.conversationEvents(conversationId));
    for (const [where, stream, filter] of ANSWERS)
      await this.#removeAnswers(stream, filter, conversationId, begins[where]);
    await this.#blobs.deleteBelow(blobOf(conversationId, ''));
    await this.#blobs.deleteBelow(eventBlobOf(conversationId, ''));
  }

  /** Those of all conversations stand on one subject. */
  async #removeAnswers(stream: string, filter: string, conversationId: string, begins: number): Promise<void> {
    // Of a stream that was made anew, sequences begin again.
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

/** Where answers are stored: first as events. */
const ANSWERS = [
  ['events', STREAM.events, SUBJECT.agentMessage(NOBODY, ANSWER_MESSAGE)],
  ['messages', STREAM.messages, SUBJECT.messageStored(ANSWER_MESSAGE, NOBODY)],
] as const;

const blobOf = (conversationId: string, lineId: string): string => `conversation/${conversationId}/${lineId}`;
/** Where the text of an event lies that is too large for it. */
export const eventBlobOf = (conversationId: string, lineId: string): string =>
  `event/conversation/${conversationId}/${lineId}`;
