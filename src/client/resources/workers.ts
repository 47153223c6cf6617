import type { LimitLifted, WorkerList, WorkerShown } from '../../../contracts/tasks/workers.js';
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

  /** Lets all workers take tasks again, though a usage limit names a later time. */
  liftLimit(options: CallOptions = {}): Promise<LimitLifted> {
    return this.#transport.call('limit_lift', {}, options);
  }
}
