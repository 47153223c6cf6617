import type {
  Conversation,
  ConversationPage,
  ConversationRequest,
  ConversationsQuery,
  ConversationTranscript,
  SayRequest,
} from '../../../contracts/conversations/conversations.js';
import { ConversationHandle } from '../conversation-handle.js';
import { atCursor, listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** Agents that talk. */
export class Conversations {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Begins one. With a `conversation_id` of yours it is the same one however often it is asked for. */
  async create(request: ConversationRequest, options: CallOptions = {}): Promise<ConversationHandle> {
    const made = await this.#transport.call('conversation_create', request, options);
    return new ConversationHandle(this.#transport, made.conversation_id, made.since);
  }

  /** One that is there; nothing is asked yet. */
  handle(id: string): ConversationHandle {
    return new ConversationHandle(this.#transport, id);
  }

  /** The newest first. */
  list(query: ConversationsQuery = {}, options: CallOptions = {}): Listing<ConversationPage, Conversation> {
    return listing({
      read: (cursor) => this.#transport.call('conversations', { ...query, ...atCursor(cursor) }, options),
      items: ({ conversations }) => conversations,
      next: ({ next_cursor: next }) => next,
    });
  }

  /** Who takes part, who has the word and who is next, what it cost. @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation', { id }, options);
  }

  /** What was said. @throws {KsiError} `not_found` */
  async transcript(id: string, options: CallOptions = {}): Promise<ConversationTranscript> {
    const text = await this.#transport.call('conversation_transcript', { id, format: 'json' }, options);
    return JSON.parse(text) as ConversationTranscript;
  }

  /** The same as a text to read. @throws {KsiError} `not_found` */
  markdown(id: string, options: CallOptions = {}): Promise<string> {
    return this.#transport.call('conversation_transcript', { id, format: 'markdown' }, options);
  }

  /** Gives nobody the word for now; a turn under way is heard. @throws {KsiError} `conversation_ended` */
  pause(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation_pause', { id }, options);
  }

  /** @throws {KsiError} `conversation_ended` */
  resume(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation_resume', { id }, options);
  }

  /** Ends it; a turn under way is cancelled. One that has ended is answered as it is. */
  end(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation_end', { id }, options);
  }

  /** Joins in: the agents hear it at their next turns. @throws {KsiError} `conversation_ended` */
  say(id: string, said: string | SayRequest, options: CallOptions = {}): Promise<Conversation> {
    const request = typeof said === 'string' ? { text: said } : said;
    return this.#transport.call('conversation_say', { id, ...request }, options);
  }

  /** Deletes it with all that was said, and the agents and sessions that were made for it; it is ended first. */
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('conversation_delete', { id }, options);
  }
}
