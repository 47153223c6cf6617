import type { StoredEvent } from '../../contracts/events/events.js';
import type { Publication } from '../../src/broker/publish.js';

/** An event on its way to the broker. */
export interface OutboxItem {
  readonly event: StoredEvent;
  readonly publication: Publication;
  readonly bytes: number;
  /** Restores values that the JSON lacks because they are only in this process's memory. */
  readonly restore?: ((json: string) => Iterable<Buffer>) | undefined;
  /** In a journal: the event lacks such values, and they are lost. */
  readonly lacking?: true;
}

/** The undelivered events of an attempt, in order. MemoryOutbox loses them if the process ends; JournaledOutbox does not. */
export interface Outbox {
  add(item: OutboxItem): void;
  /** Resolves when there is room for more events. Undefined if there is room now. */
  room(): Promise<void> | undefined;
  /** Resolves when every added event is stored. @throws the error of `deliver`, after which nothing more is delivered */
  drained(): Promise<void>;
}

const MAX_BATCH_EVENTS = 100;
const MAX_BATCH_BYTES = 524_288;
const MAX_WAITING_BYTES = 8 * 1_048_576;

/**
 * Delivers one batch at a time, and collects the events that come meanwhile into the next. A single event goes at once, and the events of a batch
 * share one file sync of the broker.
 */
export class MemoryOutbox implements Outbox {
  readonly #deliver: (batch: readonly OutboxItem[]) => Promise<void>;
  readonly #maxWaiting: number;
  #items: OutboxItem[] = [];
  #bytes = 0;
  #delivering: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;
  #roomWaiters: (() => void)[] = [];

  /** @param deliver stores all events of a batch or none. It does its own retries */
  constructor(deliver: (batch: readonly OutboxItem[]) => Promise<void>, maxWaitingBytes = MAX_WAITING_BYTES) {
    this.#deliver = deliver;
    this.#maxWaiting = maxWaitingBytes;
  }

  add(item: OutboxItem): void {
    if (this.#failure !== undefined) return;
    this.#items.push(item);
    this.#bytes += item.bytes;
    this.#delivering ??= this.#run();
  }

  room(): Promise<void> | undefined {
    if (this.#bytes <= this.#maxWaiting || this.#failure !== undefined) return undefined;
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  async drained(): Promise<void> {
    await this.#delivering;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #run(): Promise<void> {
    // Wait for the other events of the same turn of the event loop.
    await Promise.resolve();
    try {
      while (this.#items.length > 0) {
        const batch = this.#items.splice(0, batchLength(this.#items));
        await this.#deliver(batch);
        this.#bytes -= batch.reduce((sum, item) => sum + item.bytes, 0);
        if (this.#bytes <= this.#maxWaiting) this.#giveRoom();
      }
    } catch (error) {
      this.#failure = { error };
      this.#items = [];
      this.#giveRoom();
    } finally {
      this.#delivering = undefined;
    }
  }

  #giveRoom(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

/** How many of the first items go in one batch: always at least one. */
export function batchLength(items: readonly Pick<OutboxItem, 'bytes'>[]): number {
  let bytes = 0;
  const end = items.findIndex((item, index) => {
    bytes += item.bytes;
    return index > 0 && (index >= MAX_BATCH_EVENTS || bytes > MAX_BATCH_BYTES);
  });
  return end === -1 ? items.length : end;
}
