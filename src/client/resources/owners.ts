import type { CallOptions, Transport } from '../transport.js';

export class Owners {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Deletes all of an owner's tasks and sessions, open ones too, and revokes its tokens. Scope `admin`. */
  delete(owner: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('owner_delete', { id: owner }, options);
  }
}
