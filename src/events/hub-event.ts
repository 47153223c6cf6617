import type { StoredEvent } from '../../contracts/events/events.js';
import { encodeCursor, type StreamPosition } from '../../contracts/wire/cursor.js';
import { tokensOf } from './subject.js';

/** A stored event for delivery to clients. It is parsed once and serialized once for all of them. */
export class HubEvent {
  readonly seq: number;
  readonly id: string;
  readonly subject: string;
  readonly tokens: readonly string[];
  readonly type: string;
  readonly timestamp: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly cursor: string;
  readonly bytes: number;
  readonly #text: string;
  #envelope: string | undefined;
  #frame: Buffer | undefined;

  /** @param text the stored JSON of the event. */
  constructor(position: StreamPosition, subject: string, text: string, event: StoredEvent) {
    this.seq = position.seq;
    this.id = event.id;
    this.cursor = encodeCursor(position);
    this.subject = subject;
    this.tokens = tokensOf(subject);
    this.type = event.type;
    this.timestamp = event.timestamp;
    this.data = event.data;
    this.bytes = text.length;
    this.#text = text;
  }

  get owner(): string | undefined {
    return typeof this.data['owner'] === 'string' ? this.data['owner'] : undefined;
  }

  /** The JSON for WebSocket, SSE and GET: the stored event with its sequence, cursor and subject. */
  get envelope(): string {
    this.#envelope ??= `${this.#text.slice(0, this.#text.lastIndexOf('}'))},"seq":${this.seq},"cursor":"${this.cursor}","subject":"${this.subject}"}`;
    return this.#envelope;
  }

  /** The envelope as bytes, shared by all sockets. */
  get frame(): Buffer {
    this.#frame ??= Buffer.from(this.envelope);
    return this.#frame;
  }
}
