import type { Logger } from 'pino';
import type { Static, TSchema } from 'typebox';
import type { Broker } from '../broker/connect.js';
import { deleteEntry, putEntry, readEntry, recordIn } from '../broker/kv.js';
import { purge } from '../broker/purge.js';
import { asBrokerError, subjectsOf } from '../broker/read.js';
import { ApiError } from '../errors/api-error.js';

/** A record as it stands. */
export interface Held<R> {
  readonly id: string;
  readonly record: R;
  /** Of the entry: what a change that must not undo another one expects. */
  readonly revision: number;
}

/** What an entry is now: its record, if it has one, and what the next change expects. */
export interface Entry<R> {
  readonly held: Held<R> | undefined;
  /** 0: there never was one, or nobody knows any more. */
  readonly revision: number;
}

export interface OwnedRecordsOptions<S extends TSchema> {
  readonly broker: Broker;
  readonly bucket: string;
  /** Where a record stands; `*` as the id: all of the owner's. */
  readonly subject: (owner: string, id: string) => string;
  readonly schema: S;
  /** So many may an owner have. Default: 20,000. */
  readonly most?: number;
  readonly log: Logger;
}

export interface PageOf<R> {
  readonly entries: readonly Held<R>[];
  /** The id to go on after; undefined: there are no more. */
  readonly next?: string;
}

export interface PageOptions {
  readonly limit: number;
  /** The id that the page comes after. */
  readonly after?: string | undefined;
  /** What an id stands for, by which it is sorted and chosen. Default: itself. */
  readonly by?: (id: string) => string;
  /** Which are wanted. Default: all. */
  readonly keep?: (key: string) => boolean;
}

const same = (id: string): string => id;

/** Marks of deletions go after a day: by then no reader is so far behind. */
const MARK_S = 86_400;
/** The broker answers for so many subjects at once. */
const AT_ONCE = 250;

const MOST = 20_000;
/** How long a count holds, with what was added here since; other APIs may add some meanwhile. */
const COUNT_MS = 60_000;

/** Records of owners in a KV bucket, each by an id; changed by compare-and-set. */
export class OwnedRecords<S extends TSchema> {
  readonly #broker: Broker;
  readonly #stream: string;
  readonly #subject: (owner: string, id: string) => string;
  readonly #schema: S;
  readonly #most: number;
  readonly #log: Logger;
  readonly #counts = new Map<string, { count: number; readonly at: number }>();

  constructor({ broker, bucket, subject, schema, most = MOST, log }: OwnedRecordsOptions<S>) {
    this.#broker = broker;
    this.#stream = `KV_${bucket}`;
    this.#subject = subject;
    this.#schema = schema;
    this.#most = most;
    this.#log = log;
  }

  /** As the leader has it. @throws {BrokerError} unreadable: the record is bad. */
  async entry(owner: string, id: string): Promise<Entry<Static<S>>> {
    const subject = this.#subject(owner, id);
    const { data, revision } = await readEntry(this.#broker, this.#stream, subject);
    if (data === undefined) return { held: undefined, revision };
    return { held: { id, record: recordIn(this.#schema, data, subject), revision }, revision };
  }

  /** The same, for a change that a bad record must not prevent. @throws {BrokerError} */
  async standing(owner: string, id: string): Promise<Entry<Static<S>> & { readonly isThere: boolean }> {
    const subject = this.#subject(owner, id);
    const { data, revision } = await readEntry(this.#broker, this.#stream, subject);
    const held = data === undefined ? undefined : this.#readable(id, data, revision, subject);
    return { held, revision, isThere: data !== undefined };
  }

  /** @throws {BrokerError} as of `entry`. */
  async find(owner: string, id: string): Promise<Held<Static<S>> | undefined> {
    return (await this.entry(owner, id)).held;
  }

  /**
   * @returns the new revision; undefined: the entry has another one than `expected`.
   * @throws {ApiError} too_many; marks of what was deleted within a day are counted. @throws {BrokerError}
   */
  async put(owner: string, id: string, record: Static<S>, expected: number): Promise<number | undefined> {
    if (expected === 0) await this.#takePlace(owner);
    return putEntry(this.#broker, this.#subject(owner, id), { schema: this.#schema, record }, expected);
  }

  /** Leaves a mark that it was deleted. @returns the mark's revision; undefined: as of `put`. @throws {BrokerError} */
  remove(owner: string, id: string, expected: number): Promise<number | undefined> {
    return deleteEntry(this.#broker, this.#subject(owner, id), expected, MARK_S);
  }

  /** An owner's, in order. @throws {BrokerError} */
  async page(owner: string, { limit, after, by = same, keep = () => true }: PageOptions): Promise<PageOf<Static<S>>> {
    const first = after === undefined ? undefined : by(after);
    const ids = (await this.#ids(owner))
      .map((id) => ({ id, key: by(id) }))
      .filter(({ key }) => (first === undefined || key > first) && keep(key))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ id }) => id);
    const entries: Held<Static<S>>[] = [];
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      for (const held of await this.#many(owner, ids.slice(from, from + AT_ONCE))) {
        const last = entries.at(-1);
        if (entries.length === limit && last !== undefined) return { entries, next: last.id };
        entries.push(held);
      }
    }
    return { entries };
  }

  /** All that an owner has. @throws {BrokerError} */
  async all(owner: string): Promise<readonly Held<Static<S>>[]> {
    return (await this.page(owner, { limit: Infinity })).entries;
  }

  /** Deletes all that is an owner's, marks included. @throws {BrokerError} */
  async purge(owner: string): Promise<void> {
    this.#counts.delete(owner);
    await purge(this.#broker, this.#stream, this.#subject(owner, '*'));
  }

  async #takePlace(owner: string): Promise<void> {
    const known = this.#counts.get(owner);
    const now = performance.now();
    const holds = known !== undefined && now - known.at < COUNT_MS;
    const counted = holds ? known : { count: (await this.#ids(owner)).length, at: now };
    this.#counts.set(owner, counted);
    if (counted.count >= this.#most)
      throw new ApiError('too_many', `${owner} has ${this.#most} of these, those deleted within a day counted`);
    counted.count++;
  }

  async #ids(owner: string): Promise<string[]> {
    const subjects = await subjectsOf(this.#broker, this.#stream, this.#subject(owner, '*'));
    return subjects.map((subject) => subject.slice(this.#subject(owner, '').length));
  }

  /** In the order of the ids, without those that are deleted. */
  async #many(owner: string, ids: readonly string[]): Promise<Held<Static<S>>[]> {
    const found = new Map<string, Held<Static<S>>>();
    try {
      const stored = await this.#broker.jsm.direct.getLastMessagesFor(this.#stream, {
        multi_last: ids.map((id) => this.#subject(owner, id)),
      });
      for await (const { subject, data, seq } of stored) {
        const id = subject.slice(this.#subject(owner, '').length);
        const held = data.length === 0 ? undefined : this.#readable(id, data, seq, subject);
        if (held !== undefined) found.set(id, held);
      }
    } catch (error) {
      throw asBrokerError(error, `reading ${this.#stream}`);
    }
    return ids.flatMap((id) => found.get(id) ?? []);
  }

  /** Undefined: the record is bad, which must not sink a list or keep the record from being removed. */
  #readable(id: string, data: Uint8Array, revision: number, subject: string): Held<Static<S>> | undefined {
    try {
      return { id, record: recordIn(this.#schema, data, subject), revision };
    } catch (error) {
      this.#log.error({ err: error, subject }, 'a bad record is passed over');
      return undefined;
    }
  }
}

/** Each try loses to another change of the same record, which gets somewhere. */
const MOST_TRIES = 20;

/** Changes what it finds, again as often as somebody else was first. @param change undefined: somebody was. @throws {ApiError} conflict */
export async function changing<T>(change: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const changed = await change();
    if (changed !== undefined) return changed;
  }
  throw new ApiError('conflict', 'Too many changes of the same at once');
}
