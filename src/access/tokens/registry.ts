import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { check } from '../../../contracts/wire/check.js';
import { BUCKET, FORMAT_VERSION, SUBJECT } from '../../../contracts/wire/names.js';
import {
  TokenRecord,
  type TokenCreated,
  type TokenRequest,
  type TokenShown,
} from '../../../contracts/access/tokens.js';
import type { Broker } from '../../broker/connect.js';
import { lastBySubject, streamPosition, type Stored } from '../../broker/read.js';
import { readStream } from '../../broker/replay.js';
import { ApiError, apiErrorOf, invalid } from '../../errors/api-error.js';
import { maySee, type Principal } from '../principal.js';
import type { Seal } from './seal.js';
import { newToken } from './secret.js';

const STREAM = `KV_${BUCKET.tokens}`;
/** A word of a change can get lost on a broken connection; a revocation must hold within 5 s all the same. */
const LOOK_MS = 2_000;

/** The tokens that there are, as `ksi_tokens` has them: known to every API a moment after their change. */
export class TokenRegistry {
  readonly #broker: Broker;
  readonly #seal: Seal;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  readonly #stopping = new AbortController();
  #records: ReadonlyMap<string, TokenRecord> = new Map();
  /** The state of the bucket that the records are of. */
  #seen = '';
  #unsubscribe: (() => void) | undefined;
  #looking: Promise<void> = Promise.resolve();
  #nudge: (() => void) | undefined;

  constructor(broker: Broker, seal: Seal, log: Logger) {
    this.#broker = broker;
    this.#seal = seal;
    this.#log = log;
  }

  /** Resolves once the tokens are known. @throws {BrokerError} */
  async start(): Promise<void> {
    const subscription = this.#broker.nc.subscribe(SUBJECT.token('*'), { callback: () => this.#nudge?.() });
    this.#unsubscribe = () => subscription.unsubscribe();
    await this.#load();
    this.#looking = this.#look();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#stopping.abort();
    await this.#looking;
  }

  find(id: string): TokenRecord | undefined {
    return this.#records.get(id);
  }

  /** Whether it lets in now; one that another API has just made is looked for at the broker. @throws {BrokerError} */
  async isValid(id: string, now = this.#broker.clock.now()): Promise<boolean> {
    const record = this.#records.get(id) ?? (await this.#stored(id));
    return record !== undefined && (record.expires_at === undefined || Date.parse(record.expires_at) > now);
  }

  /** Calls `listener` after changes. Returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Those that a principal may see, the oldest first. */
  list(principal: Principal): TokenShown[] {
    return [...this.#records.values()]
      .filter(({ owner }) => maySee(principal, owner))
      .map(shownOf)
      .toSorted((a, b) => (a.created_at < b.created_at ? -1 : 1));
  }

  /** @returns the token, which nobody will see again. @throws {ApiError} forbidden: it would see more than who makes it. */
  async create(request: TokenRequest, principal: Principal, now = this.#broker.clock.now()): Promise<TokenCreated> {
    if (request.all_owners === true && !principal.seesAll)
      throw new ApiError('forbidden', 'A token that sees all owners can only be made with one that does');
    if (!maySee(principal, request.owner))
      throw new ApiError('forbidden', 'A token of another owner can only be made with one that sees all owners');
    const { expires_in_s: expiresIn, owner, all_owners, ...rest } = request;
    if (expiresIn !== undefined && request.expires_at !== undefined)
      throw invalid([{ field: 'expires_in_s', message: 'cannot be given together with `expires_at`' }]);
    if (request.expires_at !== undefined && Date.parse(request.expires_at) <= now)
      throw invalid([{ field: 'expires_at', message: 'is in the past' }]);
    const { id, token, hash } = newToken();
    const record: TokenRecord = {
      v: FORMAT_VERSION,
      token_id: id,
      created_at: new Date(now).toISOString(),
      created_by: principal.owner,
      ...rest,
      owner: owner ?? principal.owner,
      all_owners: all_owners ?? false,
      ...(expiresIn === undefined ? {} : { expires_at: new Date(now + expiresIn * 1_000).toISOString() }),
      hash,
    };
    await this.#put(id, this.#seal.close(SUBJECT.token(id), record));
    return { ...shownOf(record), token };
  }

  /** From now on nobody is let in with it. @throws {ApiError} not_found also for another owner's. */
  async revoke(id: string, principal: Principal): Promise<void> {
    const record = this.#records.get(id) ?? (await this.#stored(id));
    if (record === undefined || !maySee(principal, record.owner))
      throw new ApiError('not_found', `There is no token ${id}`);
    await this.#put(id, '', { 'KV-Operation': 'DEL' });
  }

  async #put(id: string, payload: string, headers: Record<string, string> = {}): Promise<void> {
    try {
      await this.#broker.publisher.publish({ subject: SUBJECT.token(id), payload, headers });
      // Whoever made it, or ended it, may rely on that here at once.
      await this.#load();
    } catch (error) {
      throw apiErrorOf(error);
    }
  }

  async #stored(id: string): Promise<TokenRecord | undefined> {
    const stored = await lastBySubject(this.#broker, STREAM, SUBJECT.token(id));
    return stored === undefined ? undefined : this.#recordIn(stored);
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const nudged = new Promise<void>((resolve) => (this.#nudge = resolve));
      const time = new AbortController();
      await Promise.race([
        nudged,
        sleep(LOOK_MS, undefined, { signal: AbortSignal.any([signal, time.signal]) }).catch(() => undefined),
      ]);
      time.abort();
      if (signal.aborted || !this.#broker.connected()) continue;
      try {
        if (stateOf(await streamPosition(this.#broker, STREAM)) !== this.#seen) await this.#load();
      } catch (error) {
        this.#log.warn({ err: error }, 'the tokens could not be read; those known before are still let in');
      }
    }
  }

  async #load(): Promise<void> {
    const position = await streamPosition(this.#broker, STREAM);
    const records = new Map<string, TokenRecord>();
    // Page by page: there may be more than one answer of the broker can hold.
    for await (const entry of readStream(this.#broker, STREAM, SUBJECT.token('*'), 0, position.lastSeq)) {
      const record = this.#recordIn(entry);
      if (record !== undefined) records.set(record.token_id, record);
    }
    this.#records = records;
    this.#seen = stateOf(position);
    for (const listener of this.#listeners) listener();
  }

  /** Undefined: a deletion, or nothing of ours. */
  #recordIn({ subject, data }: Stored): TokenRecord | undefined {
    if (data.length === 0) return undefined;
    const record = check(TokenRecord, this.#seal.open(subject, data));
    if (record.ok) return record.value;
    this.#log.error({ subject }, 'a token that no API has made is not let in; see docs/security.md');
    return undefined;
  }
}

/** A bucket that was made anew may have as many entries as the one before. */
const stateOf = ({ created, lastSeq }: { created: string; lastSeq: number }): string => `${created}/${lastSeq}`;

function shownOf({ v: _version, hash: _hash, ...shown }: TokenRecord): TokenShown {
  return shown;
}
