import type {
  Conversation,
  ConversationPage,
  ConversationRequest,
  ConversationsQuery,
  ConversationTranscript,
  SayRequest,
} from '../../../contracts/conversations/conversations.js';
import { ConversationHandle } from '../conversation-handle.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** Conversations between agents. */
export class Conversations {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Begins a conversation. If you choose the `conversation_id`, a repeated request returns the same conversation. */
  async create(request: ConversationRequest, options: CallOptions = {}): Promise<ConversationHandle> {
    const conversation = await this.#transport.call('conversation_create', request, options);
    return new ConversationHandle(this.#transport, conversation.conversation_id, conversation.since);
  }

  /** A handle of an existing conversation. Makes no request. */
  handle(id: string): ConversationHandle {
    return new ConversationHandle(this.#transport, id);
  }

  /** Newest first. */
  list(query: ConversationsQuery = {}, options: CallOptions = {}): Listing<ConversationPage> {
    return listing(this.#transport, 'conversations', query, options);
  }

  /** The participants, whose turn it is, who speaks next, and the cost. @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation', { id }, options);
  }

  /** The transcript. @throws {KsiError} `not_found` */
  async transcript(id: string, options: CallOptions = {}): Promise<ConversationTranscript> {
    const text = await this.#transport.call('conversation_transcript', { id, format: 'json' }, options);
    return JSON.parse(text) as ConversationTranscript;
  }

  /** The transcript as Markdown. @throws {KsiError} `not_found` */
  markdown(id: string, options: CallOptions = {}): Promise<string> {
    return this.#transport.call('conversation_transcript', { id, format: 'markdown' }, options);
  }

  /** Begins no further turns until `resume`. The current turn continues. @throws {KsiError} `conversation_ended` */
  pause(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation_pause', { id }, options);
  }

  /** @throws {KsiError} `conversation_ended` */
  resume(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation_resume', { id }, options);
  }

  /** Ends the conversation and cancels the current turn. An ended conversation is returned unchanged. */
  end(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.#transport.call('conversation_end', { id }, options);
  }

  /** Adds a line, which the agents read at their next turns. @throws {KsiError} `conversation_ended` */
  say(id: string, said: string | SayRequest, options: CallOptions = {}): Promise<Conversation> {
    const request = typeof said === 'string' ? { text: said } : said;
    return this.#transport.call('conversation_say', { id, ...request }, options);
  }

  /** Ends the conversation, then deletes it with its transcript and the agents and sessions that were registered for it. */
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('conversation_delete', { id }, options);
  }
}
