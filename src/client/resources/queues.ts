import type { QueueList, QueueShown } from '../../../contracts/tasks/queues.js';
import type { WorkspaceShown } from '../../../contracts/tasks/workspace.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

export class Queues {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Those that the operator has defined: what stands in them, and who serves them. */
  list(options: CallOptions = {}): Listing<QueueList, QueueShown> {
    return listing({ read: () => this.#transport.call('queues', {}, options), items: ({ queues }) => queues });
  }

  /** The workspaces in which tasks write, or for which they wait. */
  workspaces(options: CallOptions = {}): Listing<QueueList, WorkspaceShown> {
    return listing({ read: () => this.#transport.call('queues', {}, options), items: ({ workspaces }) => workspaces });
  }
}
