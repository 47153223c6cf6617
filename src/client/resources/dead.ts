import type {
  DeadLetter,
  DeadPage,
  DeadQuery,
  DeadRetryAnswer,
  DeadRetryRequest,
} from '../../../contracts/tasks/dead-letters.js';
import { listing, type Listing } from '../listing.js';
import { SpawnedTask } from '../task-handle.js';
import type { CallOptions, Transport } from '../transport.js';

/** Tasks that were given up. */
export class DeadLetters {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The oldest first. */
  list(query: DeadQuery = {}, options: CallOptions = {}): Listing<DeadPage> {
    return listing(this.#transport, 'dead', query, options);
  }

  /** One of them, with its command and history. @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<DeadLetter> {
    return this.#transport.call('dead_letter', { id }, options);
  }

  /** Puts one back as a new task: once, however often it is asked. @throws {KsiError} `not_found`, `not_retryable` */
  async retry(id: string, options: CallOptions = {}): Promise<SpawnedTask> {
    return new SpawnedTask(this.#transport, await this.#transport.call('dead_retry', { id }, options));
  }

  /** Puts back all that match: `limit` of them (100) at the most, the oldest first. */
  retryAll(request: DeadRetryRequest = {}, options: CallOptions = {}): Promise<DeadRetryAnswer> {
    return this.#transport.call('dead_retry_all', request, options);
  }

  /** Deletes one for good. @throws {KsiError} `not_found` */
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('dead_delete', { id }, options);
  }
}
