import type { LimitLifted, WorkerPage } from '../../../contracts/tasks/workers.js';
import type { PageQuery } from '../../../contracts/wire/page.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Workers. */
export class Workers extends Resource {
  /** Lists the workers in the order in which they started. */
  list(query: PageQuery = {}, options: CallOptions = {}): Listing<WorkerPage> {
    return listing(this.transport, 'workers', query, options);
  }

  /** Lifts the usage limit that stops workers from taking tasks before its reset time. Needs the scope `admin`. */
  liftLimit(options: CallOptions = {}): Promise<LimitLifted> {
    return this.transport.call('limit_lift', {}, options);
  }
}
