import type { Logger } from 'pino';
import { check } from '../../contracts/wire/check.js';
import { ConversationRecord } from '../../contracts/conversations/conversations.js';
import { BUCKET, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { isBrokerError } from '../broker/errors.js';
import { deleteEntry, ownerIn, putEntry, readEntry, recordIn } from '../broker/kv.js';
import { KvCache, type KvChange } from '../broker/kv-cache.js';
import { wakesAt } from './due.js';
import { parseJson } from '../json.js';

const STREAM = `KV_${BUCKET.conversations}`;
/** How long it is kept that one was deleted, for APIs that were away. */
const MARK_S = 3_600;

/** What every API knows of every conversation. */
export interface Digest {
  readonly owner: string;
  /** `bad`: its record cannot be read, only removed. */
  readonly status: ConversationRecord['status'] | 'bad';
  readonly createdAt: string;
  /** When it must be looked at although nothing happens, in ms since 1970; 0: something is left to be done. */
  readonly wakesAt: number | undefined;
}

export interface Held {
  readonly record: ConversationRecord;
  readonly revision: number;
}

/** The states of conversations, as `ksi_conversations` has them: read from the leader, changed by compare-and-set. */
export class ConversationRecords {
  readonly #broker: Broker;
  readonly #digests: KvCache<Digest>;
  readonly #log: Logger;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#log = log;
    this.#digests = new KvCache<Digest>({
      broker,
      bucket: BUCKET.conversations,
      read: (value, key) => {
        const record = check(ConversationRecord, value);
        if (record.ok) return digestOf(record.value);
        log.error({ conversation_id: key, faults: record.faults }, 'the record of a conversation is bad');
        // Enough for its owner, or whoever sees all, to find and remove it.
        return { owner: ownerIn(value), status: 'bad', createdAt: '', wakesAt: undefined };
      },
      log,
    });
  }

  /** Resolves once all are known. @throws {BrokerError} */
  start(): Promise<void> {
    return this.#digests.start();
  }

  stop(): Promise<void> {
    return this.#digests.stop();
  }

  /** Those of an owner, or of all; the newest first. */
  newest(owner: string | undefined): [string, Digest][] {
    const found: [string, Digest][] = [];
    for (const [id, { value }] of this.#digests.entries())
      if (owner === undefined || value.owner === owner) found.push([id, value]);
    return found.toSorted(([a, { createdAt: at }], [b, { createdAt: bt }]) =>
      at === bt ? (a < b ? 1 : -1) : at < bt ? 1 : -1,
    );
  }

  entries(): IterableIterator<[string, { readonly value: Digest }]> {
    return this.#digests.entries();
  }

  onChange(listener: (change: KvChange<Digest>) => void): () => void {
    return this.#digests.onChange(listener);
  }

  /** Whose a bad record is; undefined: it is good, or there is none. @throws {BrokerError} */
  async ownerOfBad(id: string): Promise<string | undefined> {
    const { data } = await readEntry(this.#broker, STREAM, SUBJECT.conversation(id));
    const value = data === undefined ? undefined : parseJson(data);
    return data === undefined || check(ConversationRecord, value).ok ? undefined : ownerIn(value);
  }

  /** @throws {BrokerError} unreadable: the record is bad. */
  async read(id: string): Promise<Held | undefined> {
    const { revision, data } = await readEntry(this.#broker, STREAM, SUBJECT.conversation(id));
    if (data === undefined) return undefined;
    return { record: recordIn(ConversationRecord, data, SUBJECT.conversation(id)), revision };
  }

  /** Those that can be read: one that is bad is left out. @throws {BrokerError} */
  async readable(ids: readonly string[]): Promise<Held[]> {
    const held = await Promise.all(
      ids.map((id) =>
        this.read(id).catch((error: unknown) => {
          if (!isBrokerError(error, 'unreadable')) throw error;
          this.#log.error({ err: error, conversation_id: id }, 'a bad record is left out of a list');
          return undefined;
        }),
      ),
    );
    return held.filter((each) => each !== undefined);
  }

  /** Removes a record, good or bad, as it stands now. @throws {BrokerError} */
  async discard(id: string): Promise<boolean> {
    const { revision, data } = await readEntry(this.#broker, STREAM, SUBJECT.conversation(id));
    return data === undefined || (await this.remove(id, revision));
  }

  /** @returns undefined: there is one. @throws {BrokerError} */
  async create(record: ConversationRecord): Promise<Held | undefined> {
    const { revision, data } = await readEntry(this.#broker, STREAM, SUBJECT.conversation(record.conversation_id));
    return data === undefined ? this.change(record, revision) : undefined;
  }

  /** @returns undefined: it has another revision. @throws {BrokerError} */
  async change(record: ConversationRecord, expected: number): Promise<Held | undefined> {
    const { conversation_id: id } = record;
    const revision = await putEntry(
      this.#broker,
      SUBJECT.conversation(id),
      { schema: ConversationRecord, record },
      expected,
    );
    if (revision === undefined) return undefined;
    this.#digests.apply(id, digestOf(record), revision);
    return { record, revision };
  }

  /** @returns false: it has another revision. @throws {BrokerError} */
  async remove(id: string, expected: number): Promise<boolean> {
    const marked = await deleteEntry(this.#broker, SUBJECT.conversation(id), expected, MARK_S);
    if (marked !== undefined) this.#digests.apply(id, undefined, marked);
    return marked !== undefined;
  }
}

const digestOf = (record: ConversationRecord): Digest => ({
  owner: record.owner,
  status: record.status,
  createdAt: record.created_at,
  wakesAt: wakesAt(record),
});
