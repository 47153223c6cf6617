import type { ConversationRecord, PendingEvent } from '../../contracts/conversations/conversations.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { FORMAT_VERSION, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { contend } from '../broker/contention.js';
import { eventPublication } from '../broker/events.js';
import { publishExpecting } from '../broker/publish.js';
import { lastBySubject } from '../broker/read.js';
import { parseJson } from '../json.js';
import { eventBlobOf, type ConversationLines } from './lines.js';

export interface EventOutboxOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly lines: Pick<ConversationLines, 'read'>;
}

const ENVELOPE_BYTES = 4_096;

/** Publishes the pending events of conversations once and in order, even if several APIs publish them at once or one dies in between. */
export class EventOutbox {
  readonly #options: EventOutboxOptions;

  constructor(options: EventOutboxOptions) {
    this.#options = options;
  }

  /**
   * Publishes the events after the last stored one.
   * @param read reads the current record. It must run after the last event was read: then a pending event is stored if and only if the last event is
   * that event or a later one. @returns the ids of the stored events. @throws {BrokerError}
   */
  async publish(
    conversationId: string,
    read: () => Promise<ConversationRecord | undefined>,
  ): Promise<ReadonlySet<string>> {
    const { broker } = this.#options;
    const filter = SUBJECT.conversationEvents(conversationId);
    return contend<ReadonlySet<string>>(async () => {
      const last = await lastBySubject(broker, STREAM.events, filter);
      const record = await read();
      if (record === undefined) return new Set();
      const lastId = (parseJson(last?.data ?? new Uint8Array()) as Partial<StoredEvent> | undefined)?.id;
      const { pending } = record;
      let seq: number | undefined = last?.seq ?? 0;
      for (const event of pending.slice(pending.findIndex(({ id }) => id === lastId) + 1)) {
        seq = await this.#publishEvent(conversationId, event, { filter, seq });
        // Another API publishes the same events.
        if (seq === undefined) return undefined;
      }
      return new Set(pending.map(({ id }) => id));
    });
  }

  async #publishEvent(
    conversationId: string,
    { id, type, at, data, line }: PendingEvent,
    expect: { filter: string; seq: number },
  ): Promise<number | undefined> {
    const text = line === undefined ? undefined : await this.#text(conversationId, line);
    const event = { v: FORMAT_VERSION, id, type, timestamp: at, data: { ...data, ...text } } as unknown as StoredEvent;
    const subject = SUBJECT.conversationEvent(conversationId, tokenOf(type));
    return publishExpecting(this.#options.broker, eventPublication(event, subject, expect));
  }

  async #text(conversationId: string, lineId: string): Promise<Record<string, unknown>> {
    const { lines, blobs } = this.#options;
    const [line] = await lines.read(conversationId, [lineId]);
    const text = line?.text ?? '';
    const json = JSON.stringify(text);
    if (text === '') return {};
    if (!blobs.needed(Buffer.byteLength(json) + ENVELOPE_BYTES)) return { text };
    return { ref: await blobs.put(eventBlobOf(conversationId, lineId), Buffer.from(json)) };
  }
}

/** The last token of the subject: `turn` for CONVERSATION_TURN. */
const tokenOf = (type: string): string => type.replace(/^CONVERSATION_/, '').toLowerCase();
