import { SUBJECT } from '../../../contracts/wire/names.js';
import { keyToken } from '../../../contracts/wire/key-token.js';
import type {
  SharedEntry,
  SharedListQuery,
  SharedPage,
  SharedQuery,
  SharedValue,
} from '../../../contracts/agents/shared.js';
import { KsiError, KsiGapError } from '../errors.js';
import { isEvent, isGap } from '../event-message.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, FollowOptions } from '../transport.js';
import { defined } from '../../defined.js';
import { Resource } from './resource.js';

/** A change of a key. */
export interface SharedChange {
  readonly key: string;
  readonly owner: string;
  readonly revision: number;
  readonly deleted: boolean;
  /** Undefined if the key was deleted, or if the value is too large for an event. Use `get` then. */
  readonly value?: unknown;
  /** The agent that made the change. Absent if a person did. */
  readonly by?: string;
  /** Pass it as `since` to a later `watch` to continue after this change. */
  readonly cursor: string;
}

export interface ExpectingOptions extends CallOptions {
  /** The expected revision of the key. 0: the key must not exist. Default: any revision. */
  readonly revision?: number | undefined;
}

export interface WatchOptions extends FollowOptions {
  /** Only this key. Default: all keys. */
  readonly key?: string | undefined;
  /** Only keys with this prefix. */
  readonly prefix?: string | undefined;
}

/** `update` retries after each concurrent change of the key, up to this number of tries. */
const MAX_TRIES = 50;

/** State that agents and people share: JSON values by key. */
export class Shared extends Resource {
  /** Gets the value of a key. @throws {KsiError} `not_found` */
  get(key: string, query: SharedQuery = {}, options: CallOptions = {}): Promise<SharedValue> {
    return this.transport.call('shared_get', { key, ...query }, options);
  }

  /** Sets the value of a key to any JSON. @throws {KsiError} `revision_mismatch` */
  set(key: string, value: unknown, { revision, ...options }: ExpectingOptions = {}): Promise<SharedEntry> {
    return this.transport.call('shared_set', defined({ key, value, revision }), options);
  }

  /**
   * Changes a value atomically. `change` gets the current value (undefined if the key does not exist) and returns the new one. After a concurrent
   * change, it is called again, up to 50 times. @throws {KsiError} `revision_mismatch` after the last try. @throws the errors of `change`
   */
  async update(
    key: string,
    change: (value: unknown) => unknown,
    options: CallOptions = {},
  ): Promise<SharedEntry & { value: unknown }> {
    for (let tries = 1; ; tries++) {
      const current = await this.#getOrUndefined(key, options);
      const value = await change(current?.value);
      try {
        const entry = await this.set(key, value, { ...options, revision: current?.revision ?? 0 });
        return { ...entry, value };
      } catch (error) {
        if (tries >= MAX_TRIES || !(error instanceof KsiError) || error.code !== 'revision_mismatch') throw error;
      }
    }
  }

  /** Deletes a key. @throws {KsiError} `not_found`, `revision_mismatch` */
  delete(key: string, { revision, ...options }: ExpectingOptions = {}): Promise<void> {
    return this.transport.call('shared_delete', defined({ key, revision }), options);
  }

  /** Lists the keys in order, without their values. */
  list(query: SharedListQuery = {}, options: CallOptions = {}): Listing<SharedPage> {
    return listing(this.transport, 'shared_list', query, options);
  }

  /**
   * Yields changes as they happen, from now on or after `since`, until `signal` aborts. Of two changes of a key at nearly the same time, the
   * earlier one may be missing. @throws {KsiGapError} if changes after `since` are no longer stored. Read the current values with `list` and `get`.
   */
  async *watch({ key, prefix = '', ...options }: WatchOptions = {}): AsyncGenerator<SharedChange> {
    const latest = new Map<string, number>();
    const subject = SUBJECT.sharedEvent('*', key === undefined ? '*' : keyToken(key));
    for await (const message of this.transport.events({ ...options, subjects: [subject] })) {
      if (isGap(message)) throw new KsiGapError(message);
      if (!isEvent(message)) continue;
      const change = changeOf(message.type, message.data, message.cursor);
      const id = JSON.stringify([change.owner, change.key]);
      if (!change.key.startsWith(prefix) || change.revision <= (latest.get(id) ?? 0)) continue;
      latest.set(id, change.revision);
      yield change;
    }
  }

  async #getOrUndefined(key: string, options: CallOptions): Promise<SharedValue | undefined> {
    try {
      return await this.get(key, {}, options);
    } catch (error) {
      if (error instanceof KsiError && error.code === 'not_found') return undefined;
      throw error;
    }
  }
}

function changeOf(type: string, data: Readonly<Record<string, unknown>>, cursor: string): SharedChange {
  const { key, owner, revision, by, value } = data as Omit<SharedChange, 'deleted' | 'cursor'>;
  return defined({
    key,
    owner,
    revision,
    deleted: type === 'SHARED_DELETED',
    ...('value' in data ? { value } : {}),
    by,
    cursor,
  });
}
