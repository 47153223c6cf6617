import type { Logger } from 'pino';
import type { Static, TSchema } from 'typebox';
import { check, type Checked } from '../../contracts/wire/check.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { RecordKind } from '../../contracts/wire/record-kind.js';
import { sleep } from '../clock.js';
import { isRecord, parseJson } from '../json.js';
import type { Broker } from './connect.js';
import { BrokerError } from './errors.js';
import { deleteEntry, putEntry, readEntry } from './kv.js';
import { KvCache } from './kv-cache.js';
import { purge } from './purge.js';
import { asBrokerError, lastBySubject, subjectsOf } from './read.js';

/** The state of a key. A change that does not read `record` also works on an invalid record. */
export interface Entry<T> {
  /** The revision of the last write or deletion, for compare-and-set. 0: there was none, or its marker has expired. */
  readonly revision: number;
  readonly exists: boolean;
  /** Undefined: no record. @throws {BrokerError} unreadable: the record is invalid. */
  readonly record: T | undefined;
  /** Undefined: no record, or an invalid one, which is logged. */
  readonly readable: T | undefined;
  /** The owner in the record, valid or not. '': it has none. Undefined: no record. */
  readonly owner: string | undefined;
}

/** A record with its id and revision. */
export interface Versioned<T> {
  /** The last part of the key. */
  readonly id: string;
  readonly record: T;
  readonly revision: number;
}

/** Returned by a change to delete the record. */
export const REMOVE = Symbol('remove');
/** The result of a change. Undefined: keep the record. */
export type Next<T> = T | typeof REMOVE | undefined;

export interface Updated<T> {
  readonly before: Entry<T>;
  /** Undefined: there is no record, or an invalid one was kept. */
  readonly record: T | undefined;
  readonly revision: number;
}

export interface Page<T> {
  readonly entries: readonly Versioned<T>[];
  /** The `after` of the next page. Absent: this is the last page. */
  readonly next?: string;
}

export interface PageOptions<T> {
  readonly limit: number;
  /** The page starts after this id. */
  readonly after?: string | undefined;
  /** Maps an id to the name by which ids are sorted and filtered. Default: the id. */
  readonly by?: (id: string) => string;
  /** Filters names. Default: all. */
  readonly keep?: (name: string) => boolean;
  /** Which records are wanted. Default: all. */
  readonly fits?: (record: T) => boolean;
}

/** The stored format of records. Default: JSON. */
export interface RecordCodec {
  sign(subject: string, record: object): string;
  /** @returns undefined if the data is not a record. */
  verify(subject: string, data: Uint8Array): unknown;
}

export interface WatchOptions<T, V> {
  /** Maps a record to its cached value. */
  readonly of: (record: T, id: string) => V;
  /** Maps an invalid record, which is logged, to its cached value. Default: not cached. */
  readonly bad?: (value: unknown, id: string) => V | undefined;
  readonly log: Logger;
}

const JSON_CODEC: RecordCodec = {
  sign: (_subject, record) => JSON.stringify(record),
  verify: (_, data) => parseJson(data),
};

/** A try fails only if another change of the same record succeeds. */
const MAX_TRIES = 50;
/** Colliding writers wait a random time up to this, so that they do not collide again. */
const MAX_PAUSE_MS = 25;
/** The number of subjects in one request to the broker. */
const MAX_SUBJECTS = 250;
/** How long a count of records is cached. It includes records added by this process, but not by others. */
const COUNT_MS = 60_000;

/** The number of records with a prefix, and when they were counted. */
interface Count {
  count: number;
  readonly at: number;
}

type Prefix<Key extends readonly string[]> = Key extends readonly [...infer P extends string[], string] ? P : never;

/** Records of one kind in a KV bucket, read from the leader and changed by compare-and-set. */
export class Records<S extends TSchema, Key extends readonly string[]> {
  readonly #broker: Broker;
  readonly #kind: RecordKind<S, Key>;
  readonly #stream: string;
  readonly #log: Pick<Logger, 'error'> | undefined;
  readonly #codec: RecordCodec;
  readonly #counts = new Map<string, Count>();
  #apply: (key: Key, record: Static<S> | undefined, revision: number) => void = () => undefined;

  /** @param log reports invalid records that `page`, `all` and `readable` skip. */
  constructor(broker: Broker, kind: RecordKind<S, Key>, log?: Pick<Logger, 'error'>, codec = JSON_CODEC) {
    this.#broker = broker;
    this.#kind = kind;
    this.#stream = `KV_${kind.bucket}`;
    this.#log = log;
    this.#codec = codec;
  }

  /** @throws {BrokerError} */
  async entry(key: Key): Promise<Entry<Static<S>>> {
    const subject = this.#kind.subject(...key);
    const { data, revision } = await readEntry(this.#broker, this.#stream, subject);
    return this.#entryOf(subject, data, revision);
  }

  /** @throws {BrokerError} unreadable: the record is invalid. */
  async get(key: Key): Promise<Static<S> | undefined> {
    return (await this.entry(key)).record;
  }

  /**
   * Changes a record by compare-and-set, with retries. @param change computes the new record. It may run several times.
   * @throws {BrokerError} limit; conflict: too many concurrent changes. @throws errors of `change`.
   */
  async update(
    key: Key,
    change: (entry: Entry<Static<S>>) => Next<Static<S>> | Promise<Next<Static<S>>>,
  ): Promise<Updated<Static<S>>> {
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const before = await this.entry(key);
      const next = await change(before);
      if (next === undefined) return { before, record: before.readable, revision: before.revision };
      const record = next === REMOVE ? undefined : next;
      const revision = await (record === undefined
        ? this.removeAt(key, before.revision)
        : this.put(key, record, before.revision));
      if (revision !== undefined) return { before, record, revision };
      await sleep(this.#broker.clock, Math.random() * MAX_PAUSE_MS);
    }
    throw new BrokerError('conflict', `Too many concurrent changes of ${this.#kind.subject(...key)}. Try again`);
  }

  /** @returns the revision; undefined: a record exists. @throws {BrokerError} limit */
  async create(key: Key, record: Static<S>): Promise<number | undefined> {
    const { exists, revision } = await this.entry(key);
    return exists ? undefined : this.put(key, record, revision);
  }

  /**
   * Writes a record. @param expected the revision to replace; 0: none; undefined: any.
   * @returns the new revision; undefined: the current revision is another one. @throws {BrokerError} limit
   */
  async put(key: Key, record: Static<S>, expected?: number): Promise<number | undefined> {
    const subject = this.#kind.subject(...key);
    const checked = check(this.#kind.schema, record);
    // An invalid record would fail every reader.
    if (!checked.ok)
      throw new BrokerError(
        'refused',
        `The record ${subject} was not written because it is invalid: ${faultsIn(checked)}`,
      );
    const counted = expected === 0 ? await this.#refuseTooMany(key) : undefined;
    const revision = await putEntry(this.#broker, subject, this.#codec.sign(subject, record), expected);
    if (revision === undefined) return undefined;
    if (counted !== undefined) counted.count++;
    this.#apply(key, record, revision);
    return revision;
  }

  /** Deletes a record, valid or not. @returns whether there was one. @throws {BrokerError} */
  async remove(key: Key): Promise<boolean> {
    const { before } = await this.update(key, ({ exists }) => (exists ? REMOVE : undefined));
    if (!before.exists) this.#apply(key, undefined, before.revision);
    return before.exists;
  }

  /** Deletes a record. @returns the new revision; undefined: the current revision is not `expected`. @throws {BrokerError} */
  async removeAt(key: Key, expected: number): Promise<number | undefined> {
    const subject = this.#kind.subject(...key);
    const { markS } = this.#kind;
    if (markS === undefined) {
      if (expected > 0) await purge(this.#broker, this.#stream, subject, expected);
      return expected;
    }
    const revision = await deleteEntry(this.#broker, subject, expected, markS);
    if (revision !== undefined) this.#apply(key, undefined, revision);
    return revision;
  }

  /** The records with a key prefix, sorted. Invalid records are logged and skipped. @throws {BrokerError} */
  async page(
    prefix: Prefix<Key>,
    { limit, after, by = (id) => id, keep = () => true, fits = () => true }: PageOptions<Static<S>>,
  ): Promise<Page<Static<S>>> {
    const first = after === undefined ? undefined : by(after);
    const ids = (await this.ids(prefix))
      .map((id) => ({ id, name: by(id) }))
      .filter(({ name }) => (first === undefined || name > first) && keep(name))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ id }) => id);
    const entries: Versioned<Static<S>>[] = [];
    for (let from = 0; from < ids.length; from += MAX_SUBJECTS) {
      for (const held of await this.#many(prefix, ids.slice(from, from + MAX_SUBJECTS))) {
        if (!fits(held.record)) continue;
        const last = entries.at(-1);
        if (entries.length === limit && last !== undefined) return { entries, next: last.id };
        entries.push(held);
      }
    }
    return { entries };
  }

  /** @throws {BrokerError} as of `page`. */
  async all(prefix: Prefix<Key>): Promise<readonly Versioned<Static<S>>[]> {
    return (await this.page(prefix, { limit: Infinity })).entries;
  }

  /** The ids with a key prefix, unsorted. Deleted ids are included until their markers expire. @throws {BrokerError} */
  async ids(prefix: Prefix<Key>): Promise<string[]> {
    const subjects = await subjectsOf(this.#broker, this.#stream, this.#subject([...prefix, '*']));
    return subjects.map((subject) => this.#idOf(prefix, subject));
  }

  /** Deletes all current records and markers with a key prefix, without leaving markers. @throws {BrokerError} */
  async purge(prefix: Prefix<Key>): Promise<void> {
    this.#counts.delete(prefix.join('.'));
    const all = this.#subject([...prefix, '*']);
    const last = await lastBySubject(this.#broker, this.#stream, all);
    if (last !== undefined) await purge(this.#broker, this.#stream, all, last.seq);
  }

  /** A cache of the records; call its `start`. It shows writes through this object at once. Only the latest watch does so. */
  watch<V>({ of, bad = () => undefined, log }: WatchOptions<Static<S>, V>): KvCache<V> {
    const prefix = SUBJECT.kvAll(this.#kind.bucket).slice(0, -1);
    const cache = new KvCache<V>({
      broker: this.#broker,
      bucket: this.#kind.bucket,
      watched: this.#kind.watched === true,
      read: (data, id) => {
        const subject = `${prefix}${id}`;
        const value = this.#codec.verify(subject, data);
        const record = check(this.#kind.schema, value);
        if (record.ok) return of(record.value, id);
        log.error({ subject, faults: record.faults }, 'a record is invalid');
        return bad(value, id);
      },
      log,
    });
    this.#apply = (key, record, revision) => {
      const id = this.#kind.subject(...key).slice(prefix.length);
      cache.apply(id, record === undefined ? undefined : of(record, id), revision);
    };
    return cache;
  }

  /** @returns the cached count, to be incremented. @throws {BrokerError} limit; deletion markers count. */
  async #refuseTooMany(key: Key): Promise<Count | undefined> {
    const { most, bucket } = this.#kind;
    if (most === undefined) return undefined;
    const prefix = key.slice(0, -1);
    const name = prefix.join('.');
    const known = this.#counts.get(name);
    const now = performance.now();
    const holds = known !== undefined && now - known.at < COUNT_MS;
    const counted = holds ? known : { count: (await this.ids(prefix as Prefix<Key>)).length, at: now };
    this.#counts.set(name, counted);
    if (counted.count >= most)
      throw new BrokerError(
        'limit',
        `${name} has reached the limit of ${most} records in ${bucket}. Records deleted within the last day count`,
      );
    return counted;
  }

  /** The records of ids, in their order. Deleted and invalid records are left out. */
  async #many(prefix: Prefix<Key>, ids: readonly string[]): Promise<Versioned<Static<S>>[]> {
    const found = new Map<string, Versioned<Static<S>>>();
    try {
      const stored = await this.#broker.jsm.direct.getLastMessagesFor(this.#stream, {
        multi_last: ids.map((id) => this.#subject([...prefix, id])),
      });
      for await (const { subject, data, seq: revision } of stored) {
        const id = this.#idOf(prefix, subject);
        const record = data.length === 0 ? undefined : this.#entryOf(subject, data, revision).readable;
        if (record !== undefined) found.set(id, { id, record, revision });
      }
    } catch (error) {
      throw asBrokerError(error, `reading ${this.#stream}`);
    }
    return ids.flatMap((id) => found.get(id) ?? []);
  }

  #entryOf(subject: string, data: Uint8Array | undefined, revision: number): Entry<Static<S>> {
    const value = data === undefined ? undefined : this.#codec.verify(subject, data);
    const checked = data === undefined ? undefined : check(this.#kind.schema, value);
    const log = this.#log;
    return {
      revision,
      exists: data !== undefined,
      owner: data === undefined ? undefined : ownerIn(value),
      get record() {
        if (checked?.ok === false) throw unreadable(subject, checked);
        return checked?.value;
      },
      get readable() {
        if (checked?.ok === false) log?.error({ subject, faults: checked.faults }, 'an invalid record is skipped');
        return checked?.ok === true ? checked.value : undefined;
      },
    };
  }

  #subject(parts: readonly string[]): string {
    return this.#kind.subject(...(parts as Key));
  }

  #idOf(prefix: readonly string[], subject: string): string {
    return subject.slice(this.#subject([...prefix, '']).length);
  }
}

/** Validates a stored value. @throws {BrokerError} unreadable */
export function recordIn<S extends TSchema>(schema: S, value: unknown, subject: string): Static<S> {
  const record = check(schema, value);
  if (!record.ok) throw unreadable(subject, record);
  return record.value;
}

const unreadable = (subject: string, checked: Checked<unknown> & { ok: false }): BrokerError =>
  new BrokerError('unreadable', `The record ${subject} is invalid: ${faultsIn(checked)}`);

/** The owner in a record, valid or not. '': it has none. */
export const ownerIn = (record: unknown): string =>
  isRecord(record) && typeof record['owner'] === 'string' ? record['owner'] : '';

const faultsIn = ({ faults }: Checked<unknown> & { ok: false }): string =>
  faults.map(({ field, message }) => `${field} ${message}`.trim()).join('; ');
