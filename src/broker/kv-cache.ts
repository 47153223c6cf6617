import type { Logger } from 'pino';
import { HEADER, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from './connect.js';
import { feedSource } from './feed-source.js';
import { OrderedFeed, type FeedMessage } from './ordered-feed.js';

export interface Cached<T> {
  readonly value: T;
  /** The entry's revision, for compare-and-set. */
  readonly revision: number;
}

/** A change of a key. `now` is undefined if the entry was deleted. */
export interface KvChange<T> {
  readonly key: string;
  readonly before: T | undefined;
  readonly now: T | undefined;
  readonly revision: number;
  /** The broker deleted the entry because its TTL expired. */
  readonly expired: boolean;
}

export interface KvCacheOptions<T> {
  readonly broker: Broker;
  readonly bucket: string;
  /** Whether the broker republishes the entries (contracts/wire/record-kind.ts). */
  readonly watched: boolean;
  /** Maps an entry to its cached value. Undefined: not cached. */
  readonly read: (data: Uint8Array, key: string) => T | undefined;
  readonly log: Logger;
}

const CHECK_MS = 2_000;
/** Less than the time for which deletion markers are kept. */
const MAX_AWAY_MS = 3_600_000;

/** A KV bucket in memory. Changes arrive a moment after they are stored; a process applies its own changes at once (`apply`). */
export class KvCache<T> {
  readonly #options: KvCacheOptions<T>;
  readonly #feed: OrderedFeed<T | undefined>;
  readonly #prefix: string;
  readonly #entries = new Map<string, Cached<T>>();
  /** Keys that this process deleted, with the revision, until the feed has passed it. */
  readonly #deleted = new Map<string, number>();
  /** Keys from before a reset that the feed has not delivered again. */
  readonly #unseen = new Set<string>();
  readonly #listeners = new Set<(change: KvChange<T>) => void>();

  constructor(options: KvCacheOptions<T>) {
    const { broker, bucket, watched, read, log } = options;
    const stored = SUBJECT.kvAll(bucket);
    this.#options = options;
    this.#prefix = stored.slice(0, -1);
    this.#feed = new OrderedFeed({
      source: feedSource(broker, {
        stream: `KV_${bucket}`,
        stored,
        republished: watched ? SUBJECT.kvStored(bucket) : undefined,
      }),
      prepare: ({ data, subject }) => (data.length === 0 ? undefined : read(data, this.#keyOf(subject))),
      deliver: (value, message) => this.#take(value, message),
      reset: (another) => this.#reset(another),
      current: (seq) => this.#current(seq),
      checkMs: CHECK_MS,
      maxAwayMs: MAX_AWAY_MS,
      log: log.child({ bucket }),
    });
  }

  /** Resolves when the cache is complete. @throws {BrokerError} */
  start(): Promise<void> {
    return this.#feed.start('beginning');
  }

  stop(): Promise<void> {
    return this.#feed.stop();
  }

  get(key: string): Cached<T> | undefined {
    return this.#entries.get(key);
  }

  get size(): number {
    return this.#entries.size;
  }

  entries(): IterableIterator<[string, Cached<T>]> {
    return this.#entries.entries();
  }

  /** Calls `listener` after each change. @returns a function that unsubscribes. */
  onChange(listener: (change: KvChange<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Applies this process's own write. @param value undefined: a deletion. */
  apply(key: string, value: T | undefined, revision: number): void {
    this.#set(key, value, revision, false);
  }

  #keyOf(subject: string): string {
    return subject.slice(this.#prefix.length);
  }

  #take(value: T | undefined, message: FeedMessage): void {
    const expired = message.header(HEADER.kvMarker) === 'MaxAge';
    this.#set(this.#keyOf(message.subject), value, message.seq, expired);
  }

  #reset(another: boolean): void {
    for (const [key, { value }] of this.#entries) {
      this.#unseen.add(key);
      // The sequences of a re-created bucket start over.
      if (another) this.#entries.set(key, { value, revision: -1 });
    }
    if (another) this.#deleted.clear();
  }

  #current(seq: number): void {
    for (const key of this.#unseen) this.#set(key, undefined, seq, false);
    for (const [key, at] of this.#deleted) if (at <= seq) this.#deleted.delete(key);
  }

  #set(key: string, value: T | undefined, revision: number, expired: boolean): void {
    const before = this.#entries.get(key);
    this.#unseen.delete(key);
    if (revision <= Math.max(before?.revision ?? -1, this.#deleted.get(key) ?? -1)) return;
    if (value === undefined) {
      this.#entries.delete(key);
      if (revision > this.#feed.position.seq) this.#deleted.set(key, revision);
    } else this.#entries.set(key, { value, revision });
    const change = { key, before: before?.value, now: value, revision, expired };
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#options.log.error({ err: error, key }, 'a listener failed to handle a change of the bucket');
      }
    }
  }
}
