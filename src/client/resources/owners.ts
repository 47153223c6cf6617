import type { DeletionPending } from '../../../contracts/retention/deletion.js';
import type { CallOptions, Transport } from '../transport.js';

export class Owners {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Deletes all of an owner's tasks and sessions, open ones too, and revokes its tokens. Scope `admin`. @returns what hosts of workers have still to remove; undefined: nothing. */
  delete(owner: string, options: CallOptions = {}): Promise<DeletionPending | undefined> {
    return this.#transport.call('owner_delete', { id: owner }, options);
  }
}
