import type { Logger } from 'pino';
import { uuidv7 } from '../../uuid.js';
import type { BlobRef } from '../../../contracts/wire/blob.js';
import { keyOfToken, keyToken } from '../../../contracts/wire/key-token.js';
import { FORMAT_VERSION } from '../../../contracts/wire/names.js';
import type { OwnedKey } from '../../../contracts/wire/record-kind.js';
import {
  SHARED_RECORDS,
  type SharedEntry,
  type SharedListQuery,
  type SharedQuery,
  type SharedRecord,
  type SharedValue,
} from '../../../contracts/agents/shared.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { BrokerError, isBrokerError } from '../../broker/errors.js';
import { parseJson } from '../../json.js';
import { Records, REMOVE, type Entry, type Versioned, type Next } from '../../broker/records.js';
import { ApiError, expectRevision, withApiErrors, invalid } from '../../errors/api-error.js';
import { PAGE_ITEMS, type Page } from '../../../contracts/wire/page.js';
import { listedOwner, type Principal } from '../../access/principal.js';
import { keyBefore, pageWith } from '../../lists/page.js';
import type { SharedEvents } from './shared-events.js';
import { timestampOf } from '../../clock.js';
import { defined } from '../../defined.js';

export interface SharedChange {
  readonly key: string;
  /** The required current revision. 0: the key must not exist. Undefined: no condition. */
  readonly revision?: number | undefined;
  /** The agent that makes the change, if any. */
  readonly by?: string | undefined;
}

/** An upper bound for the size of a record without its value. */
const RECORD_BYTES = 4_096;
/** A value may be replaced during a read, so reads are tried this often. */
const READS = 5;

/** The prefix of an owner's blobs. */
const blobsOf = (owner: string): string => `shared/${owner}/`;

/** JSON values by key, shared by the agents of an owner. */
export class SharedState {
  readonly #records: Records<typeof SharedRecord, OwnedKey>;
  readonly #clock: Broker['clock'];
  readonly #blobs: Blobs;
  readonly #events: SharedEvents;
  readonly #log: Logger;

  constructor(broker: Broker, blobs: Blobs, events: SharedEvents, log: Logger) {
    this.#clock = broker.clock;
    this.#records = new Records(broker, SHARED_RECORDS, log);
    this.#blobs = blobs;
    this.#events = events;
    this.#log = log;
  }

  /** Reads from the leader, so the value is current. @throws {ApiError} not_found */
  async get(key: string, principal: Principal, query: SharedQuery = {}): Promise<SharedValue> {
    const owner = ownerOf(principal, query);
    return withApiErrors(async () => {
      for (let left = READS; ; left--) {
        const { record, revision } = await this.#records.entry([owner, keyToken(key)]);
        if (record === undefined) throw noKey(key);
        try {
          return { ...entryOf({ record, revision }), value: await this.#valueOf(record) };
        } catch (error) {
          if (left <= 1 || !isBrokerError(error, 'refused')) throw error;
        }
      }
    });
  }

  /** @throws {ApiError} revision_mismatch */
  async set(value: unknown, { key, revision, by }: SharedChange, principal: Principal): Promise<SharedEntry> {
    const { owner } = principal;
    const json = stringifyValue(value);
    const size = Buffer.byteLength(json);
    const common = defined({ v: FORMAT_VERSION, key, owner, by, size });
    return withApiErrors(async () => {
      const ref = this.#blobs.needed(size + RECORD_BYTES) ? await this.#put(owner, json) : undefined;
      try {
        const record = {
          ...common,
          updated_at: timestampOf(this.#clock),
          ...(ref === undefined ? { value } : { ref }),
        };
        const { before, at } = await this.#change({ owner, key, revision }, () => record);
        await this.#events.set(record, at);
        await this.#delete(before?.ref);
        return defined({ key, revision: at, updated_at: record.updated_at, size, by });
      } catch (error) {
        // An unconfirmed write may have been stored, and would then refer to the blob.
        if (!isBrokerError(error, 'unavailable')) await this.#delete(ref);
        throw error;
      }
    });
  }

  /** @throws {ApiError} not_found, revision_mismatch */
  async delete({ key, revision, by }: SharedChange, principal: Principal): Promise<void> {
    const { owner } = principal;
    await withApiErrors(async () => {
      const { before, at } = await this.#change({ owner, key, revision }, ({ exists }) => {
        if (!exists) throw noKey(key);
        return REMOVE;
      });
      await this.#events.deleted(defined({ owner, key, by }), at);
      await this.#delete(before?.ref);
    });
  }

  /** Sorted by key, without values. @throws {ApiError} forbidden */
  async page(query: SharedListQuery, principal: Principal): Promise<Page<SharedEntry>> {
    const { prefix = '', limit = PAGE_ITEMS, cursor } = query;
    const owner = listedOwner(principal, query.owner ?? principal.owner) ?? principal.owner;
    const { entries, next } = await withApiErrors(() =>
      this.#records.page([owner], {
        limit,
        after: keyBefore('shared', cursor),
        by: keyOfToken,
        keep: (key) => key.startsWith(prefix),
      }),
    );
    return pageWith('shared', entries.map(entryOf), next);
  }

  /** Deletes all keys, blobs and events of an owner. @throws {BrokerError} */
  async purge(owner: string): Promise<void> {
    await this.#records.purge([owner]);
    await this.#blobs.deleteBelow(blobsOf(owner));
    await this.#events.purge(owner);
  }

  /** @returns the new revision and the old record. @throws {ApiError} revision_mismatch */
  async #change(
    { owner, key, revision }: { owner: string; key: string; revision: number | undefined },
    next: (entry: Entry<SharedRecord>) => Next<SharedRecord>,
  ): Promise<{ at: number; before: SharedRecord | undefined }> {
    const { before, revision: at } = await this.#records.update([owner, keyToken(key)], (entry) => {
      expectRevision(revision, entry.exists ? entry.revision : 0);
      return next(entry);
    });
    return { at, before: before.readable };
  }

  async #valueOf({ value, ref }: SharedRecord): Promise<unknown> {
    // Validation drops a null in an optional field.
    if (ref === undefined) return value ?? null;
    const stored = parseJson(await this.#blobs.get(ref));
    if (stored === undefined) throw new BrokerError('unreadable', `The value ${ref.name} is not JSON`);
    return stored;
  }

  /** Under a new name, so that concurrent readers of the old value are not disturbed. */
  #put(owner: string, json: string): Promise<BlobRef> {
    return this.#blobs.put(`${blobsOf(owner)}${uuidv7()}`, new TextEncoder().encode(json));
  }

  /** Deletes a replaced blob. A failure does not fail the change; the blob stays until the owner's data is deleted. */
  async #delete(ref: BlobRef | undefined): Promise<void> {
    if (ref === undefined) return;
    try {
      await this.#blobs.delete(ref.name);
    } catch (error) {
      this.#log.warn(
        { err: error, blob: ref.name },
        "could not delete a replaced value; it takes space until the owner's data is deleted",
      );
    }
  }
}

const entryOf = ({ record, revision }: Pick<Versioned<SharedRecord>, 'record' | 'revision'>): SharedEntry =>
  defined({
    key: record.key,
    revision,
    updated_at: record.updated_at,
    by: record.by,
    size: record.size,
  });

const noKey = (key: string): ApiError => new ApiError('not_found', `There is no key ${JSON.stringify(key)}`);

/** @throws {ApiError} not_found, which does not reveal whether another owner has keys. */
function ownerOf({ owner, seesAll }: Principal, { owner: requestedOwner = owner }: SharedQuery): string {
  if (requestedOwner !== owner && !seesAll) throw new ApiError('not_found', `There are no keys of ${requestedOwner}`);
  return requestedOwner;
}

/** @throws {ApiError} if the value is nested too deeply. */
function stringifyValue(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    if (cause instanceof RangeError) throw invalid([{ field: 'value', message: 'is nested too deeply' }]);
    throw cause;
  }
}
