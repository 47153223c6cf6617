import type { QueuePage } from '../../../contracts/tasks/queues.js';
import type { WorkspacePage } from '../../../contracts/tasks/workspace.js';
import type { PageQuery } from '../../../contracts/wire/page.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Queues and workspaces. */
export class Queues extends Resource {
  /** Lists the queues of KSI_QUEUES with their tasks and workers. */
  list(query: PageQuery = {}, options: CallOptions = {}): Listing<QueuePage> {
    return listing(this.transport, 'queues', query, options);
  }

  /** Lists the workspaces that tasks write in, read or wait for. */
  workspaces(query: PageQuery = {}, options: CallOptions = {}): Listing<WorkspacePage> {
    return listing(this.transport, 'workspaces', query, options);
  }
}
