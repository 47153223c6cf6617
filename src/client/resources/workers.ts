import type { LimitLifted, WorkerPage } from '../../../contracts/tasks/workers.js';
import type { PageQuery } from '../../../contracts/wire/page.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

export class Workers {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Those that there are, as they say themselves; those started first come first. */
  list(query: PageQuery = {}, options: CallOptions = {}): Listing<WorkerPage> {
    return listing(this.#transport, 'workers', query, options);
  }

  /** Lets all workers take tasks again, though a usage limit names a later time. */
  liftLimit(options: CallOptions = {}): Promise<LimitLifted> {
    return this.#transport.call('limit_lift', {}, options);
  }
}
