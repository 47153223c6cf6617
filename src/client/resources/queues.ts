import type { QueuePage } from '../../../contracts/tasks/queues.js';
import type { WorkspacePage } from '../../../contracts/tasks/workspace.js';
import type { PageQuery } from '../../../contracts/wire/page.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

export class Queues {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Those that the operator has defined: what stands in them, and who serves them. */
  list(query: PageQuery = {}, options: CallOptions = {}): Listing<QueuePage> {
    return listing(this.#transport, 'queues', query, options);
  }

  /** The workspaces in which tasks write, or for which they wait. */
  workspaces(query: PageQuery = {}, options: CallOptions = {}): Listing<WorkspacePage> {
    return listing(this.#transport, 'workspaces', query, options);
  }
}
