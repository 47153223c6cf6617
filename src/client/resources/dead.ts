import type {
  DeadLetter,
  DeadPage,
  DeadQuery,
  DeadRetryAnswer,
  DeadRetryRequest,
} from '../../../contracts/tasks/dead-letters.js';
import { listing, type Listing } from '../listing.js';
import { SpawnedTask } from '../task-handle.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** The dead letters of tasks that were given up. */
export class DeadLetters extends Resource {
  /** Lists dead letters, oldest first. */
  list(query: DeadQuery = {}, options: CallOptions = {}): Listing<DeadPage> {
    return listing(this.transport, 'dead', query, options);
  }

  /** Gets a dead letter with its command and history. @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<DeadLetter> {
    return this.transport.call('dead_letter', { id }, options);
  }

  /** Retries the task as a new task and deletes the dead letter. A repeated request returns the same task. @throws {KsiError} `not_found`, `not_retryable` */
  async retry(id: string, options: CallOptions = {}): Promise<SpawnedTask> {
    return new SpawnedTask(this.transport, await this.transport.call('dead_retry', { id }, options));
  }

  /** Retries all matching tasks, oldest first, up to `limit`. Default: 100. */
  retryAll(request: DeadRetryRequest = {}, options: CallOptions = {}): Promise<DeadRetryAnswer> {
    return this.transport.call('dead_retry_all', request, options);
  }

  /** Deletes a dead letter permanently. @throws {KsiError} `not_found` */
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return this.transport.call('dead_delete', { id }, options);
  }
}
