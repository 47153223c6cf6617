import type { Conversation } from '../../contracts/conversations/conversations.js';
import type { EventData, EventEnvelope, EventType } from '../../contracts/events/events.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { KsiGapError } from './errors.js';
import { isEvent, isGap } from './event-message.js';
import type { CallOptions, FollowOptions, Transport } from './transport.js';

/** The types of events that a conversation has. */
export type ConversationEventType = Extract<EventType, `CONVERSATION_${string}`>;
/** An event of a conversation: what was said, that it was paused, that it has ended. */
export type ConversationEvent = {
  [T in ConversationEventType]: Omit<EventEnvelope, 'type' | 'data'> & {
    readonly type: T;
    readonly data: EventData<T>;
  };
}[ConversationEventType];

/** One conversation. */
export class ConversationHandle {
  readonly id: string;
  /** A cursor from before its first event; undefined: of one that was not begun here. */
  readonly since: string | undefined;
  readonly #transport: Transport;

  constructor(transport: Transport, id: string, since?: string) {
    this.#transport = transport;
    this.id = id;
    this.since = since;
  }

  /**
   * Its events to its end, as they happen; of one that was begun here from its first one. A broken connection is resumed with no gap and
   * no repeat. @throws {KsiGapError} events are no longer kept.
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

  /** Resolves with it once it has ended. */
  async ended(options: CallOptions = {}): Promise<Conversation> {
    const now = await this.get(options);
    if (now.status === 'ended') return now;
    for await (const event of this.events(options)) if (event.type === 'CONVERSATION_ENDED') break;
    return this.get(options);
  }

  get(options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation', { id: this.id }, options);
  }
}
