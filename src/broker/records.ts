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

/** What stands under a key. A change that does not read `record` works on a bad record too. */
export interface Entry<T> {
  /** Of the last write, deletions included: what the next write expects. 0: there was none, or no trace is left of it. */
  readonly revision: number;
  readonly exists: boolean;
  /** Undefined: there is none. @throws {BrokerError} unreadable: the record is bad. */
  readonly record: T | undefined;
  /** Undefined: there is none, or a bad one, which is logged. */
  readonly readable: T | undefined;
  /** Named by the record, be it good or bad. '': it names none. Undefined: there is no record. */
  readonly owner: string | undefined;
}

/** A record and its place in its bucket. */
export interface Held<T> {
  /** The last part of the key. */
  readonly id: string;
  readonly record: T;
  readonly revision: number;
}

/** A change's answer that removes the record. */
export const REMOVE = Symbol('remove');
/** What a change makes of a record. Undefined: it leaves the record as it is. */
export type Next<T> = T | typeof REMOVE | undefined;

export interface Updated<T> {
  readonly before: Entry<T>;
  /** Undefined: there is no record now, or a bad one that was left as it is. */
  readonly record: T | undefined;
  readonly revision: number;
}

export interface Page<T> {
  readonly entries: readonly Held<T>[];
  /** The id that the next page starts after. Absent: this is the last page. */
  readonly next?: string;
}

export interface PageOptions<T> {
  readonly limit: number;
  /** The id that the page starts after. */
  readonly after?: string | undefined;
  /** The name of an id, by which ids are sorted and chosen. Default: the id. */
  readonly by?: (id: string) => string;
  /** Which names are wanted. Default: all. */
  readonly keep?: (name: string) => boolean;
  /** Which records are wanted. Default: all. */
  readonly fits?: (record: T) => boolean;
}

/** How records are written, when it is not plain JSON. */
export interface RecordCodec {
  close(subject: string, record: object): string;
  /** @returns undefined when it is no record. */
  open(subject: string, data: Uint8Array): unknown;
}

export interface WatchOptions<T, V> {
  /** What is kept in memory of a record. */
  readonly of: (record: T, id: string) => V;
  /** What is kept of a bad record, which is logged. Default: nothing. */
  readonly bad?: (value: unknown, id: string) => V | undefined;
  readonly log: Logger;
}

const JSON_CODEC: RecordCodec = {
  close: (_subject, record) => JSON.stringify(record),
  open: (_, data) => parseJson(data),
};

/** A try fails only when another change of the same record succeeds. */
const MAX_TRIES = 50;
/** Writers of one record that have collided wait a random time of up to this, so that they do not collide again. */
const MAX_PAUSE_MS = 25;
/** The broker answers for this many subjects at once. */
const MAX_SUBJECTS = 250;
/** A count of records holds for this long, with the records added here since. Other processes may add some meanwhile. */
const COUNT_MS = 60_000;

/** How many records share a prefix, and when they were counted. */
interface Count {
  count: number;
  readonly at: number;
}

type Prefix<Key extends readonly string[]> = Key extends readonly [...infer P extends string[], string] ? P : never;

/** Records of one kind in a KV bucket. They are read from the leader, and changed by compare-and-set. */
export class Records<S extends TSchema, Key extends readonly string[]> {
  readonly #broker: Broker;
  readonly #kind: RecordKind<S, Key>;
  readonly #stream: string;
  readonly #log: Pick<Logger, 'error'> | undefined;
  readonly #codec: RecordCodec;
  readonly #counts = new Map<string, Count>();
  #apply: (key: Key, record: Static<S> | undefined, revision: number) => void = () => undefined;

  /** @param log where bad records that are passed over are reported. Absent: nothing passes over any. */
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

  /** @throws {BrokerError} unreadable: the record is bad. */
  async get(key: Key): Promise<Static<S> | undefined> {
    return (await this.entry(key)).record;
  }

  /**
   * Changes a record, again as often as another change was first. @param change what becomes of what stands. It may run several times.
   * @throws {BrokerError} limit; conflict: too many others change the record. @throws whatever `change` throws.
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
    throw new BrokerError('conflict', `Too many changes of ${this.#kind.subject(...key)} at once`);
  }

  /** @returns its revision; undefined: there is a record already. @throws {BrokerError} limit */
  async create(key: Key, record: Static<S>): Promise<number | undefined> {
    const { exists, revision } = await this.entry(key);
    return exists ? undefined : this.put(key, record, revision);
  }

  /**
   * Writes a record. @param expected the revision that it replaces; 0: there was none; undefined: it replaces whatever stands.
   * @returns its revision; undefined: another one stands. @throws {BrokerError} limit
   */
  async put(key: Key, record: Static<S>, expected?: number): Promise<number | undefined> {
    const subject = this.#kind.subject(...key);
    const checked = check(this.#kind.schema, record);
    // It would fail all who read it.
    if (!checked.ok)
      throw new BrokerError(
        'refused',
        `The record ${subject} was not written, as it is not valid: ${faultsIn(checked)}`,
      );
    const counted = expected === 0 ? await this.#refuseTooMany(key) : undefined;
    const revision = await putEntry(this.#broker, subject, this.#codec.close(subject, record), expected);
    if (revision === undefined) return undefined;
    if (counted !== undefined) counted.count++;
    this.#apply(key, record, revision);
    return revision;
  }

  /** Removes whatever stands, be it good or bad. @returns whether there was a record. @throws {BrokerError} */
  async remove(key: Key): Promise<boolean> {
    const { before } = await this.update(key, ({ exists }) => (exists ? REMOVE : undefined));
    if (!before.exists) this.#apply(key, undefined, before.revision);
    return before.exists;
  }

  /** @returns the revision after it; undefined: it has another revision than `expected`. @throws {BrokerError} */
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

  /** Those whose keys begin so, in order; a bad one is logged and left out. @throws {BrokerError} */
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
    const entries: Held<Static<S>>[] = [];
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
  async all(prefix: Prefix<Key>): Promise<readonly Held<Static<S>>[]> {
    return (await this.page(prefix, { limit: Infinity })).entries;
  }

  /** The ids of those whose keys begin so, in no order; until their marks expire, also of those that were removed. @throws {BrokerError} */
  async ids(prefix: Prefix<Key>): Promise<string[]> {
    const subjects = await subjectsOf(this.#broker, this.#stream, this.#subject([...prefix, '*']));
    return subjects.map((subject) => this.#idOf(prefix, subject));
  }

  /** Removes all whose keys begin so and that stand now, and their marks. It leaves no marks. @throws {BrokerError} */
  async purge(prefix: Prefix<Key>): Promise<void> {
    this.#counts.delete(prefix.join('.'));
    const all = this.#subject([...prefix, '*']);
    const last = await lastBySubject(this.#broker, this.#stream, all);
    if (last !== undefined) await purge(this.#broker, this.#stream, all, last.seq);
  }

  /** The records in memory, once the answer was started. Writes of this store show there at once. Only one watch holds. */
  watch<V>({ of, bad = () => undefined, log }: WatchOptions<Static<S>, V>): KvCache<V> {
    const prefix = SUBJECT.kvAll(this.#kind.bucket).slice(0, -1);
    const cache = new KvCache<V>({
      broker: this.#broker,
      bucket: this.#kind.bucket,
      watched: this.#kind.watched === true,
      read: (data, id) => {
        const subject = `${prefix}${id}`;
        const value = this.#codec.open(subject, data);
        const record = check(this.#kind.schema, value);
        if (record.ok) return of(record.value, id);
        log.error({ subject, faults: record.faults }, 'a record is not valid');
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

  /** @returns the count, for what is added to it. @throws {BrokerError} limit; marks of deletions are counted. */
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
        `${name} has ${most} records in ${bucket}, which is the limit. Those removed within a day count`,
      );
    return counted;
  }

  /** In the order of the ids, without those that were removed. */
  async #many(prefix: Prefix<Key>, ids: readonly string[]): Promise<Held<Static<S>>[]> {
    const found = new Map<string, Held<Static<S>>>();
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
    const value = data === undefined ? undefined : this.#codec.open(subject, data);
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
        if (checked?.ok === false) log?.error({ subject, faults: checked.faults }, 'a bad record is passed over');
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

/** The record that a stored value is. @throws {BrokerError} unreadable */
export function recordIn<S extends TSchema>(schema: S, value: unknown, subject: string): Static<S> {
  const record = check(schema, value);
  if (!record.ok) throw unreadable(subject, record);
  return record.value;
}

const unreadable = (subject: string, checked: Checked<unknown> & { ok: false }): BrokerError =>
  new BrokerError('unreadable', `The record ${subject} is not valid: ${faultsIn(checked)}`);

/** The owner that a record names, be it good or bad. '': it names none. */
export const ownerIn = (record: unknown): string =>
  isRecord(record) && typeof record['owner'] === 'string' ? record['owner'] : '';

const faultsIn = ({ faults }: Checked<unknown> & { ok: false }): string =>
  faults.map(({ field, message }) => `${field} ${message}`.trim()).join('; ');
