import type { WorkerList, WorkerShown } from '../../../contracts/workers.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

export class Workers {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Those that there are, as they say themselves; those started first come first. */
  list(options: CallOptions = {}): Listing<WorkerList, WorkerShown> {
    return listing({ read: () => this.#transport.call('workers', {}, options), items: ({ workers }) => workers });
  }
}
