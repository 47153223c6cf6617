import type { Conversation } from '../../contracts/conversations/conversations.js';
import type { EventData, EventEnvelope, EventType } from '../../contracts/events/events.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { KsiGapError } from './errors.js';
import { isEvent, isGap } from './event-message.js';
import type { CallOptions, FollowOptions, Transport } from './transport.js';

/** The event types of conversations. */
export type ConversationEventType = Extract<EventType, `CONVERSATION_${string}`>;
/** An event of a conversation, such as a line, a pause or its end. */
export type ConversationEvent = {
  [T in ConversationEventType]: Omit<EventEnvelope, 'type' | 'data'> & {
    readonly type: T;
    readonly data: EventData<T>;
  };
}[ConversationEventType];

/** A handle of one conversation. */
export class ConversationHandle {
  readonly id: string;
  /** A cursor just before the first event. Undefined unless this client created the conversation. */
  readonly since: string | undefined;
  readonly #transport: Transport;

  constructor(transport: Transport, id: string, since?: string) {
    this.#transport = transport;
    this.id = id;
    this.since = since;
  }

  /**
   * Yields the events of the conversation until it ends. A broken connection is resumed with no missed or duplicate events.
   * @param options `since`: default: the first event. @throws {KsiGapError} if some of the events are no longer stored
   */
  async *events({ since = this.since ?? '0', signal, onRetry }: FollowOptions = {}): AsyncGenerator<ConversationEvent> {
    const subjects = [SUBJECT.conversationEvents(this.id)];
    for await (const message of this.#transport.events({ subjects, since, signal, onRetry })) {
      if (isGap(message)) throw new KsiGapError(message);
      if (!isEvent(message)) continue;
      const event = message as unknown as ConversationEvent;
      yield event;
      if (event.type === 'CONVERSATION_ENDED' || event.type === 'CONVERSATION_DELETED') return;
    }
  }

  /** Waits for the end of the conversation. @returns the ended conversation. @throws {KsiError} `not_found` */
  async ended(options: CallOptions = {}): Promise<Conversation> {
    const conversation = await this.get(options);
    if (conversation.status === 'ended') return conversation;
    for await (const event of this.events(options)) if (event.type === 'CONVERSATION_ENDED') break;
    return this.get(options);
  }

  /** The current state of the conversation. @throws {KsiError} `not_found` */
  get(options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation', { id: this.id }, options);
  }
}
