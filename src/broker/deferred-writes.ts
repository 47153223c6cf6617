import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import { RETRY_MS } from '../retry.js';
import { isBrokerError, isTransient } from './errors.js';
import { TASK_WRITES, type OptionalWrite } from './task-writes.js';

/** Limits of the writes waiting in memory, for each stream. */
const MAX_WAITING = 1_000;
const MAX_BYTES = 16 * 1_048_576;
/** Allows for one lost acknowledgement. */
const TRIES = 2;

interface Waiting {
  readonly bytes: number;
  readonly action: () => Promise<void>;
}

interface Connection {
  readonly clock: Clock;
  readonly connected: () => boolean;
  readonly log: Logger;
}

/**
 * Writes that no task may wait for. A failed write is kept in memory and retried until its stream accepts it. The list is bounded and is
 * lost with the process. While writes to a stream are waiting, further writes to it wait behind them.
 */
export class DeferredWrites {
  readonly #connection: Connection;
  readonly #queues = new Map<OptionalWrite, Queue>();
  #stopped = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * @param action does the write. It must be idempotent.
   * @throws {BrokerError} `unavailable` while the connection is lost, when essential writes have to wait too.
   */
  async store(write: OptionalWrite, key: string, bytes: number, action: () => Promise<void>): Promise<void> {
    const queue = this.#queue(write);
    if (queue.waiting.size > 0 && this.#connection.connected()) return queue.add(key, { bytes, action });
    for (let tries = 1; ; tries++) {
      try {
        return await action();
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        if (error.kind === 'unavailable' && !this.#connection.connected()) throw error;
        if (error.kind === 'unavailable' && tries < TRIES) continue;
        return queue.failed(key, { bytes, action }, error);
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const queue of this.#queues.values()) queue.stop();
  }

  #queue(write: OptionalWrite): Queue {
    const queue = this.#queues.get(write) ?? new Queue(write, this.#connection);
    this.#queues.set(write, queue);
    if (this.#stopped) queue.stop();
    return queue;
  }
}

class Queue {
  readonly waiting = new Map<string, Waiting>();
  readonly #clock: Clock;
  readonly #log: Logger;
  #bytes = 0;
  #forgetRetry: (() => void) | undefined;
  #stopped = false;

  constructor(write: OptionalWrite, { clock, log }: Connection) {
    this.#clock = clock;
    this.#log = log.child({ stream: TASK_WRITES[write].stream, write });
  }

  failed(key: string, entry: Waiting, error: unknown): void {
    if (!isTransient(error)) {
      return this.#logRefused(key, error);
    }
    if (this.waiting.size === 0)
      this.#log.warn(
        { err: error, task_id: key },
        'the stream accepts no writes; tasks go on, and the writes are kept in memory',
      );
    this.add(key, entry);
  }

  add(key: string, entry: Waiting): void {
    this.#forget(key);
    this.waiting.set(key, entry);
    this.#bytes += entry.bytes;
    for (const [oldest] of this.waiting) {
      if (this.waiting.size <= MAX_WAITING && this.#bytes <= MAX_BYTES) break;
      this.#forget(oldest);
      this.#log.warn({ task_id: oldest }, 'too many writes wait for the stream; the oldest is dropped');
    }
    this.#retryLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#forgetRetry?.();
    if (this.waiting.size > 0)
      this.#log.warn({ writes: this.waiting.size }, 'the process ends while writes wait for the stream; they are lost');
    this.waiting.clear();
  }

  #logRefused(key: string, error: unknown): void {
    this.#log.warn({ err: error, task_id: key }, 'an optional write was refused; the task goes on without it');
  }

  #forget(key: string): void {
    this.#bytes -= this.waiting.get(key)?.bytes ?? 0;
    this.waiting.delete(key);
  }

  #retryLater(): void {
    if (this.#stopped || this.waiting.size === 0) return;
    this.#forgetRetry ??= this.#clock.after(RETRY_MS.background, () => void this.#retry());
  }

  async #retry(): Promise<void> {
    let stored = 0;
    for (const [key, entry] of this.waiting) {
      try {
        await entry.action();
        stored++;
      } catch (error) {
        if (isTransient(error)) break;
        this.#logRefused(key, error);
      }
      if (this.waiting.get(key) === entry) this.#forget(key);
    }
    if (stored > 0)
      this.#log.info(
        { stored, waiting: this.waiting.size },
        'the stream accepts writes again; waiting ones were stored',
      );
    this.#forgetRetry = undefined;
    this.#retryLater();
  }
}
