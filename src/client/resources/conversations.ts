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
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Conversations between agents. */
export class Conversations extends Resource {
  /** Begins a conversation. If you choose the `conversation_id`, a repeated request returns the same conversation. */
  async create(request: ConversationRequest, options: CallOptions = {}): Promise<ConversationHandle> {
    const conversation = await this.transport.call('conversation_create', request, options);
    return new ConversationHandle(this.transport, conversation.conversation_id, conversation.since);
  }

  /** A handle of an existing conversation. Makes no request. */
  handle(id: string): ConversationHandle {
    return new ConversationHandle(this.transport, id);
  }

  /** Lists conversations, newest first. */
  list(query: ConversationsQuery = {}, options: CallOptions = {}): Listing<ConversationPage> {
    return listing(this.transport, 'conversations', query, options);
  }

  /** Gets a conversation: its participants, the current turn, the next speaker and the cost. @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.transport.call('conversation', { id }, options);
  }

  /** Gets the transcript. @throws {KsiError} `not_found` */
  async transcript(id: string, options: CallOptions = {}): Promise<ConversationTranscript> {
    const text = await this.transport.call('conversation_transcript', { id, format: 'json' }, options);
    return JSON.parse(text) as ConversationTranscript;
  }

  /** Gets the transcript as Markdown. @throws {KsiError} `not_found` */
  markdown(id: string, options: CallOptions = {}): Promise<string> {
    return this.transport.call('conversation_transcript', { id, format: 'markdown' }, options);
  }

  /** Pauses the conversation: the current turn completes, and the next one waits for `resume`. @throws {KsiError} `conversation_ended` */
  pause(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.transport.call('conversation_pause', { id }, options);
  }

  /** Continues a paused conversation. @throws {KsiError} `conversation_ended` */
  resume(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.transport.call('conversation_resume', { id }, options);
  }

  /** Ends the conversation and cancels the current turn. An ended conversation is returned unchanged. */
  end(id: string, options: CallOptions = {}): Promise<Conversation> {
    return this.transport.call('conversation_end', { id }, options);
  }

  /** Adds a line, which the agents read at their next turns. @throws {KsiError} `conversation_ended` */
  say(id: string, line: string | SayRequest, options: CallOptions = {}): Promise<Conversation> {
    const request = typeof line === 'string' ? { text: line } : line;
    return this.transport.call('conversation_say', { id, ...request }, options);
  }

  /** Ends the conversation, then deletes it with its transcript and the agents and sessions that were registered for it. */
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return this.transport.call('conversation_delete', { id }, options);
  }
}
