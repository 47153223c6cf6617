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
import type { CallOptions, FollowOptions, Transport } from '../transport.js';
import { defined } from '../../defined.js';

/** What became of a key. */
export interface SharedChange {
  readonly key: string;
  readonly owner: string;
  readonly revision: number;
  readonly deleted: boolean;
  /** Undefined: it was deleted, or the value is too large to be told: `get` it. */
  readonly value?: unknown;
  /** The agent that did it, if it was one. */
  readonly by?: string;
  /** To go on after it: `since` of another `watch`. */
  readonly cursor: string;
}

export interface ExpectingOptions extends CallOptions {
  /** What the key must have, 0: it must not be there; else `revision_mismatch`. Default: whatever it has. */
  readonly revision?: number | undefined;
}

export interface WatchOptions extends FollowOptions {
  /** This key alone. */
  readonly key?: string | undefined;
  /** Only keys with this prefix. */
  readonly prefix?: string | undefined;
}

/** Each try loses to another change of the same key. */
const MAX_TRIES = 50;

/** State that agents and people share: any JSON, by key. */
export class Shared {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws {KsiError} `not_found` */
  get(key: string, query: SharedQuery = {}, options: CallOptions = {}): Promise<SharedValue> {
    return this.#transport.call('shared_get', { key, ...query }, options);
  }

  /** @throws {KsiError} `revision_mismatch` */
  set(key: string, value: unknown, { revision, ...options }: ExpectingOptions = {}): Promise<SharedEntry> {
    return this.#transport.call('shared_set', defined({ key, value, revision }), options);
  }

  /**
   * Sets what `change` makes of the value that is there (undefined: none), again as often as somebody else changes it meanwhile: no change is
   * lost. @throws {KsiError} @throws whatever `change` does.
   */
  async update(
    key: string,
    change: (value: unknown) => unknown,
    options: CallOptions = {},
  ): Promise<SharedEntry & { value: unknown }> {
    for (let tries = 1; ; tries++) {
      const found = await this.#found(key, options);
      const value = await change(found?.value);
      try {
        const entry = await this.set(key, value, { ...options, revision: found?.revision ?? 0 });
        return { ...entry, value };
      } catch (error) {
        if (tries >= MAX_TRIES || !(error instanceof KsiError) || error.code !== 'revision_mismatch') throw error;
      }
    }
  }

  /** @throws {KsiError} `not_found`, `revision_mismatch` */
  delete(key: string, { revision, ...options }: ExpectingOptions = {}): Promise<void> {
    return this.#transport.call('shared_delete', defined({ key, revision }), options);
  }

  /** By key, without the values. */
  list(query: SharedListQuery = {}, options: CallOptions = {}): Listing<SharedPage> {
    return listing(this.#transport, 'shared_list', query, options);
  }

  /**
   * Changes as they are made, from now on or after `since`, until `signal` aborts; of two made at the same time, the earlier one may be left
   * out. @throws {KsiGapError} changes after `since` are no longer kept: read what there is.
   */
  async *watch({ key, prefix = '', ...options }: WatchOptions = {}): AsyncGenerator<SharedChange> {
    const latest = new Map<string, number>();
    const subject = SUBJECT.sharedEvent('*', key === undefined ? '*' : keyToken(key));
    for await (const message of this.#transport.events({ ...options, subjects: [subject] })) {
      if (isGap(message)) throw new KsiGapError(message);
      if (!isEvent(message)) continue;
      const change = changeOf(message.type, message.data, message.cursor);
      const id = JSON.stringify([change.owner, change.key]);
      if (!change.key.startsWith(prefix) || change.revision <= (latest.get(id) ?? 0)) continue;
      latest.set(id, change.revision);
      yield change;
    }
  }

  async #found(key: string, options: CallOptions): Promise<SharedValue | undefined> {
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
