import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
import type { BlobRef } from '../../../contracts/wire/blob.js';
import { keyOfToken, keyToken } from '../../../contracts/wire/key-token.js';
import { BUCKET, FORMAT_VERSION, SUBJECT } from '../../../contracts/wire/names.js';
import {
  SharedRecord,
  type SharedEntry,
  type SharedListQuery,
  type SharedPage,
  type SharedQuery,
  type SharedValue,
} from '../../../contracts/agents/shared.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { BrokerError, isBrokerError } from '../../broker/errors.js';
import { parseJson } from '../../json.js';
import { ApiError, guarded, invalid } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import { changing, OwnedRecords, type Held } from '../../access/owned-records.js';
import type { SharedEvents } from './shared-events.js';
import { timestampOf } from '../../clock.js';

export interface SharedChange {
  readonly key: string;
  /** It must have this revision; 0: there must be none. Undefined: whatever there is. */
  readonly revision?: number | undefined;
  /** The agent that does it, if it is one. */
  readonly by?: string | undefined;
}

const DEFAULT_LIMIT = 100;
/** What a record has beside the value, at the most. */
const RECORD_BYTES = 4_096;
/** A value that is replaced while it is read is read again. */
const READS = 5;

/** The blobs of an owner's values begin so. */
const blobsOf = (owner: string): string => `shared/${owner}/`;

/** State that the agents of an owner share: any JSON, by key. */
export class SharedState {
  readonly #records: OwnedRecords<typeof SharedRecord>;
  readonly #clock: Broker['clock'];
  readonly #blobs: Blobs;
  readonly #events: SharedEvents;
  readonly #log: Logger;

  constructor(broker: Broker, blobs: Blobs, events: SharedEvents, log: Logger) {
    this.#clock = broker.clock;
    this.#records = new OwnedRecords({
      broker,
      bucket: BUCKET.shared,
      subject: SUBJECT.shared,
      schema: SharedRecord,
      log,
    });
    this.#blobs = blobs;
    this.#events = events;
    this.#log = log;
  }

  /** As it is now, read from the leader. @throws {ApiError} not_found */
  async get(key: string, principal: Principal, query: SharedQuery = {}): Promise<SharedValue> {
    const owner = ownerOf(principal, query);
    return guarded(async () => {
      for (let left = READS; ; left--) {
        const held = await this.#records.find(owner, keyToken(key));
        if (held === undefined) throw new ApiError('not_found', `Nothing is shared as ${JSON.stringify(key)}`);
        try {
          return { ...entryOf(held), value: await this.#valueOf(held.record) };
        } catch (error) {
          if (left <= 1 || !isBrokerError(error, 'refused')) throw error;
        }
      }
    });
  }

  /** @throws {ApiError} conflict: its revision is another one. */
  async set(value: unknown, { key, revision, by }: SharedChange, principal: Principal): Promise<SharedEntry> {
    const { owner } = principal;
    const json = jsonOf(value);
    const size = Buffer.byteLength(json);
    const common = { v: FORMAT_VERSION, key, owner, ...(by === undefined ? {} : { by }), size };
    return guarded(async () => {
      const ref = this.#blobs.needed(size + RECORD_BYTES) ? await this.#put(owner, json) : undefined;
      try {
        const record = {
          ...common,
          updated_at: timestampOf(this.#clock),
          ...(ref === undefined ? { value } : { ref }),
        };
        const { before, at } = await this.#change({ owner, key, revision }, (token, expected) =>
          this.#records.put(owner, token, record, expected),
        );
        await this.#events.set(record, at);
        await this.#drop(before?.ref);
        return { key, revision: at, updated_at: record.updated_at, size, ...(by === undefined ? {} : { by }) };
      } catch (error) {
        // Of a write that nobody has an answer of, it is not known whether it holds.
        if (!isBrokerError(error, 'unavailable')) await this.#drop(ref);
        throw error;
      }
    });
  }

  /** @throws {ApiError} not_found, conflict */
  async delete({ key, revision, by }: SharedChange, principal: Principal): Promise<void> {
    const { owner } = principal;
    await guarded(async () => {
      const { before, at } = await this.#change({ owner, key, revision }, async (token, expected, isThere) => {
        if (!isThere) throw new ApiError('not_found', `Nothing is shared as ${JSON.stringify(key)}`);
        return this.#records.remove(owner, token, expected);
      });
      await this.#events.deleted({ owner, key, ...(by === undefined ? {} : { by }) }, at);
      await this.#drop(before?.ref);
    });
  }

  /** By key, without the values. @throws {ApiError} not_found */
  async page(query: SharedListQuery, principal: Principal): Promise<SharedPage> {
    const { prefix = '', limit = DEFAULT_LIMIT, cursor } = query;
    const owner = ownerOf(principal, query);
    const { entries, next } = await guarded(() =>
      this.#records.page(owner, {
        limit,
        after: cursor,
        by: keyOfToken,
        keep: (key) => key.startsWith(prefix),
      }),
    );
    return { entries: entries.map(entryOf), ...(next === undefined ? {} : { next_cursor: next }) };
  }

  /** Deletes all that is an owner's. @throws {BrokerError} */
  async purge(owner: string): Promise<void> {
    await this.#records.purge(owner);
    await this.#blobs.deleteBelow(blobsOf(owner));
    await this.#events.purge(owner);
  }

  /**
   * Makes a change of what stands there now; with no revision asked for it is made again when somebody else was first.
   * @param make gives the new revision; undefined: somebody was. @returns that, and what stood there before. @throws {ApiError} conflict
   */
  async #change(
    { owner, key, revision }: { owner: string; key: string; revision: number | undefined },
    make: (token: string, expected: number, isThere: boolean) => Promise<number | undefined>,
  ): Promise<{ at: number; before: SharedRecord | undefined }> {
    const token = keyToken(key);
    return changing(async () => {
      const { held, revision: stands, isThere } = await this.#records.standing(owner, token);
      if (revision !== undefined && revision !== (isThere ? stands : 0))
        throw changed(key, isThere ? stands : undefined);
      const at = await make(token, stands, isThere);
      return at === undefined ? undefined : { at, before: held?.record };
    });
  }

  async #valueOf({ value, ref }: SharedRecord): Promise<unknown> {
    // A null that may be left out counts as left out to every check.
    if (ref === undefined) return value ?? null;
    const stored = parseJson(await this.#blobs.get(ref));
    if (stored === undefined) throw new BrokerError('unreadable', `The value ${ref.name} is not JSON`);
    return stored;
  }

  /** Under a name of its own: whoever reads the one before has it whole. */
  #put(owner: string, json: string): Promise<BlobRef> {
    return this.#blobs.put(`${blobsOf(owner)}${uuidv7()}`, new TextEncoder().encode(json));
  }

  /** What stands there no more is no reason to call a change that was made a failure: it goes with its owner at the latest. */
  async #drop(ref: BlobRef | undefined): Promise<void> {
    if (ref === undefined) return;
    try {
      await this.#blobs.delete(ref.name);
    } catch (error) {
      this.#log.warn({ err: error, blob: ref.name }, 'a value that was replaced could not be deleted');
    }
  }
}

const entryOf = ({ record, revision }: Held<SharedRecord>): SharedEntry => ({
  key: record.key,
  revision,
  updated_at: record.updated_at,
  ...(record.by === undefined ? {} : { by: record.by }),
  size: record.size,
});

const changed = (key: string, now: number | undefined): ApiError =>
  new ApiError(
    'conflict',
    now === undefined
      ? `Nothing is shared as ${JSON.stringify(key)} now`
      : `${JSON.stringify(key)} has revision ${now} now`,
    { final: true },
  );

/** Whose is read. @throws {ApiError} not_found: others' are as unknown as none. */
function ownerOf({ owner, seesAll }: Principal, { owner: asked = owner }: SharedQuery): string {
  if (asked !== owner && !seesAll) throw new ApiError('not_found', `There is nothing of ${asked} here`);
  return asked;
}

/** @throws {ApiError} of what is nested too deep. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    if (cause instanceof RangeError) throw invalid([{ field: 'value', message: 'is nested too deep' }]);
    throw cause;
  }
}
