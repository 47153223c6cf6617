import type { ExchangeView } from '../../../contracts/access/exchanges.js';
import type { MessageAccepted, MessageRequest } from '../../../contracts/agents/messages.js';
import { newUuid } from '../random.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Messages between agents and people. */
export class Messages extends Resource {
  /**
   * Sends a message. Resolves once the broker has stored it. If the answer is lost, the request is repeated; the `message_id` (default: a random
   * UUID) prevents a duplicate. @throws {KsiError} `not_found`, `no_suitable_agent`, `no_available_agent`
   */
  send(message: MessageRequest, options: CallOptions = {}): Promise<MessageAccepted> {
    return this.transport.call('send', { message_id: newUuid(), ...message }, options);
  }

  /** Gets the exchange that a message began: the messages and tasks that it has led to so far, with their cost. @throws {KsiError} `not_found` */
  exchange(id: string, options: CallOptions = {}): Promise<ExchangeView> {
    return this.transport.call('exchange', { id }, options);
  }
}
