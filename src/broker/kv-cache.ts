import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { HEADER, SUBJECT } from '../../contracts/wire/names.js';
import { readStream } from './replay.js';
import type { Broker } from './connect.js';
import { streamPosition } from './read.js';

export interface Cached<T> {
  readonly value: T;
  /** Of the entry: what a change of it expects. */
  readonly revision: number;
}

/** What became of a key: undefined as `now`: it is gone. */
export interface KvChange<T> {
  readonly key: string;
  readonly before: T | undefined;
  readonly now: T | undefined;
  readonly revision: number;
  /** The broker removed it, as it was not renewed. */
  readonly expired: boolean;
}

export interface KvCacheOptions<T> {
  readonly broker: Broker;
  /** A watched one (contracts/broker/topology.ts). */
  readonly bucket: string;
  /** What is kept of an entry. Undefined: nothing. */
  readonly read: (data: Uint8Array, key: string) => T | undefined;
  readonly log: Logger;
}

/** What the broker republishes can get lost on a broken connection. */
const LOOK_MS = 2_000;
/** Marks of deletions are kept for longer than that: a cache that has not looked for so long begins anew. */
const TOO_LONG_MS = 3_600_000;

interface Entry {
  readonly key: string;
  readonly seq: number;
  readonly data: Uint8Array;
  readonly expired: boolean;
}

/**
 * A KV bucket in memory: known to each process a moment after every change, by what the broker republishes once it is stored. Sequences
 * tell whether something is missing, and only that is read. What was written by its own process is known at once (`apply`).
 */
export class KvCache<T> {
  readonly #options: KvCacheOptions<T>;
  readonly #stream: string;
  readonly #prefix: string;
  readonly #entries = new Map<string, Cached<T>>();
  /** Keys of which a later deletion is known than what a replica may still tell. */
  readonly #gone = new Map<string, number>();
  readonly #listeners = new Set<(change: KvChange<T>) => void>();
  #seen = 0;
  /** When the bucket was made, as of the last look. */
  #created: string | undefined;
  #waiting: Entry[] = [];
  #reading: Promise<void> | undefined;
  #lookedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: KvCacheOptions<T>) {
    this.#options = options;
    this.#stream = `KV_${options.bucket}`;
    this.#prefix = `$KV.${options.bucket}.`;
  }

  /** Resolves once all is known. @throws {BrokerError} */
  async start(): Promise<void> {
    const { broker, bucket } = this.#options;
    const subscription = broker.nc.subscribe(SUBJECT.kvStored(bucket), { callback: (_error, msg) => this.#onMsg(msg) });
    const forget = broker.onConnection((connected) => {
      if (connected) void this.#look();
    });
    this.#unsubscribe = () => {
      subscription.unsubscribe();
      forget();
    };
    await broker.nc.flush();
    await this.refresh();
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#unsubscribe?.();
    await this.#reading?.catch(() => undefined);
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

  /** Calls `listener` after each change from now on. Returns how to stop that. */
  onChange(listener: (change: KvChange<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes up what this process wrote itself. @param value undefined: it deleted it. */
  apply(key: string, value: T | undefined, revision: number): void {
    this.#set(key, value, revision, false);
  }

  /** Resolves when all is known that the bucket holds by now. @throws {BrokerError} */
  async refresh(): Promise<void> {
    const running = this.#reading;
    if (running !== undefined) await running.catch(() => undefined);
    await (this.#reading ??= this.#read().finally(() => (this.#reading = undefined)));
  }

  async #look(): Promise<void> {
    if (this.#stopped || !this.#options.broker.connected()) return;
    try {
      await this.refresh();
    } catch (error) {
      const { log, bucket } = this.#options;
      log.warn({ err: error, bucket }, 'a bucket could not be read; what is known of it stays');
    }
  }

  async #read(): Promise<void> {
    const { broker } = this.#options;
    const { lastSeq, created } = await streamPosition(broker, this.#stream);
    const another = lastSeq < this.#seen || created !== (this.#created ?? created);
    const anew = another || performance.now() - this.#lookedAt > TOO_LONG_MS;
    const known = anew ? new Set(this.#entries.keys()) : undefined;
    // Its sequences begin again.
    if (another) {
      this.#gone.clear();
      for (const [key, { value }] of this.#entries) this.#entries.set(key, { value, revision: -1 });
    }
    if (anew) this.#seen = 0;
    if (lastSeq > this.#seen)
      for await (const stored of readStream(broker, this.#stream, `${this.#prefix}>`, this.#seen, lastSeq)) {
        const key = stored.subject.slice(this.#prefix.length);
        known?.delete(key);
        this.#take({ key, seq: stored.seq, data: stored.data, expired: stored.header(HEADER.kvMarker) === 'MaxAge' });
      }
    for (const key of known ?? []) this.#set(key, undefined, lastSeq, false);
    this.#seen = Math.max(this.#seen, lastSeq);
    for (const [key, seq] of this.#gone) if (seq <= this.#seen) this.#gone.delete(key);
    this.#lookedAt = performance.now();
    this.#created = created;
    this.#drain();
  }

  #onMsg(msg: Msg): void {
    const seq = Number(msg.headers?.get(HEADER.seq));
    // Without a sequence it is not the broker that republished it.
    if (!Number.isSafeInteger(seq) || seq <= 0) return;
    const key = msg.subject.slice(SUBJECT.kvStored(this.#options.bucket).length - 1);
    this.#waiting.push({ key, seq, data: msg.data, expired: msg.headers?.get(HEADER.kvMarker) === 'MaxAge' });
    if (this.#reading === undefined) this.#drain();
  }

  #drain(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (next.seq > this.#seen + 1) return void this.#look();
      this.#waiting.shift();
      if (next.seq <= this.#seen) continue;
      this.#seen = next.seq;
      this.#take(next);
    }
  }

  #take({ key, seq, data, expired }: Entry): void {
    this.#set(key, data.length === 0 ? undefined : this.#options.read(data, key), seq, expired);
  }

  #set(key: string, value: T | undefined, revision: number, expired: boolean): void {
    const before = this.#entries.get(key);
    if (revision <= Math.max(before?.revision ?? -1, this.#gone.get(key) ?? -1)) return;
    if (value === undefined) {
      this.#entries.delete(key);
      if (revision > this.#seen) this.#gone.set(key, revision);
    } else this.#entries.set(key, { value, revision });
    const change = { key, before: before?.value, now: value, revision, expired };
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#options.log.error({ err: error, key }, 'a listener failed on a change of a bucket');
      }
    }
  }
}
