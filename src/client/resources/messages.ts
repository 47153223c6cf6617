import type { ExchangeView } from '../../../contracts/access/exchanges.js';
import type { MessageAccepted, MessageRequest } from '../../../contracts/agents/messages.js';
import { newUuid } from '../random.js';
import type { CallOptions, Transport } from '../transport.js';

/** What agents and people say to each other. */
export class Messages {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Resolves once the broker has stored it. It has an id from the start, so that it is one message however often it is sent: when its answer is
   * lost it is repeated, as a spawn is. @throws {KsiError} `not_found`, `no_suitable_agent`, `no_available_agent`
   */
  send(message: MessageRequest, options: CallOptions = {}): Promise<MessageAccepted> {
    return this.#transport.call('send', { message_id: newUuid(), ...message }, options);
  }

  /** What a message has led to so far, among agents, and what that cost. @throws {KsiError} `not_found` */
  exchange(id: string, options: CallOptions = {}): Promise<ExchangeView> {
    return this.#transport.call('exchange', { id }, options);
  }
}
