import type { LimitLifted, WorkerPage } from '../../../contracts/tasks/workers.js';
import type { PageQuery } from '../../../contracts/wire/page.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** Workers. */
export class Workers {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Lists the workers in the order in which they started. */
  list(query: PageQuery = {}, options: CallOptions = {}): Listing<WorkerPage> {
    return listing(this.#transport, 'workers', query, options);
  }

  /** Lifts the usage limit that stops workers from taking tasks before its reset time. Needs the scope `admin`. */
  liftLimit(options: CallOptions = {}): Promise<LimitLifted> {
    return this.#transport.call('limit_lift', {}, options);
  }
}
