import type { Logger } from 'pino';
import { FORMAT_VERSION } from '../../../contracts/wire/names.js';
import type { IdKey } from '../../../contracts/wire/record-kind.js';
import {
  TOKEN_RECORDS,
  type TokenCreated,
  type TokenRecord,
  type TokenRequest,
  type TokenView,
  type TokensQuery,
} from '../../../contracts/access/tokens.js';
import type { Broker } from '../../broker/connect.js';
import type { KvCache } from '../../broker/kv-cache.js';
import { Records } from '../../broker/records.js';
import { ApiError, withApiErrors, invalid } from '../../errors/api-error.js';
import type { Page } from '../../../contracts/wire/page.js';
import { createdWithin, pageOfAll } from '../../lists/page.js';
import { listedOwner, LOCAL, maySee, NATIVE_TOKEN, type Principal } from '../principal.js';
import type { RecordMac } from './record-mac.js';
import { newToken } from './secret.js';

/** All tokens, mirrored from the bucket `ksi_tokens` into the memory of every API. A change arrives within 2 s of its write. */
export class TokenRegistry {
  readonly #broker: Broker;
  readonly #records: Records<typeof TokenRecord, IdKey>;
  readonly #cache: KvCache<TokenRecord>;

  constructor(broker: Broker, mac: RecordMac, log: Logger) {
    this.#broker = broker;
    this.#records = new Records(broker, TOKEN_RECORDS, log, mac);
    this.#cache = this.#records.watch({
      of: (record) => record,
      log,
      bad: (_value, id) => {
        log.error({ token_id: id }, 'rejected a token record that no API has written; see docs/security.md');
        return undefined;
      },
    });
  }

  /** Resolves once the tokens are known. @throws {BrokerError} */
  start(): Promise<void> {
    return this.#cache.start();
  }

  stop(): Promise<void> {
    return this.#cache.stop();
  }

  find(id: string): TokenRecord | undefined {
    return this.#cache.get(id)?.value;
  }

  /**
   * Whether a token is neither revoked nor expired. Asks the broker about an unknown id, which another API may have just created. The
   * local token and those of NATS agents have no record and never expire. @throws {BrokerError}
   */
  async isValid(id: string, now = this.#broker.clock.now()): Promise<boolean> {
    if (id === LOCAL.tokenId || id.startsWith(NATIVE_TOKEN)) return true;
    const record = this.find(id) ?? (await this.#stored(id));
    return record !== undefined && (record.expires_at === undefined || Date.parse(record.expires_at) > now);
  }

  /** Calls `listener` with the id of each changed token. @returns a function that unsubscribes. */
  onChange(listener: (id: string) => void): () => void {
    return this.#cache.onChange(({ key }) => listener(key));
  }

  /** The tokens that a principal may see, oldest first. */
  list(principal: Principal): TokenView[] {
    return [...this.#cache.entries()]
      .map(([, { value }]) => value)
      .filter(({ owner }) => maySee(principal, owner))
      .map(toTokenView)
      .toSorted((a, b) => (a.created_at < b.created_at ? -1 : 1));
  }

  /** Oldest first. @throws {ApiError} invalid_cursor, forbidden */
  page(query: TokensQuery, principal: Principal): Page<TokenView> {
    const owner = listedOwner(principal, query.owner);
    const wanted = this.list(principal).filter(
      (each) => (owner === undefined || each.owner === owner) && createdWithin(each.created_at, query),
    );
    return pageOfAll('tokens', wanted, ({ created_at: created, token_id: id }) => `${created} ${id}`, query);
  }

  /**
   * @param uuid the token's id comes from it.
   * @returns the token; it is not stored and cannot be read again. @throws {ApiError} forbidden if it could see more than its creator.
   */
  async create(request: TokenRequest, principal: Principal, uuid?: string): Promise<TokenCreated> {
    const now = this.#broker.clock.now();
    if (request.all_owners === true && !principal.seesAll)
      throw new ApiError('forbidden', 'Only a token that sees all owners can create another one');
    if (!maySee(principal, request.owner))
      throw new ApiError('forbidden', 'Creating a token for another owner needs a token that sees all owners');
    const { expires_in_s: expiresIn, owner, all_owners, ...rest } = request;
    if (expiresIn !== undefined && request.expires_at !== undefined)
      throw invalid([{ field: 'expires_in_s', message: 'cannot be given together with `expires_at`' }]);
    if (request.expires_at !== undefined && Date.parse(request.expires_at) <= now)
      throw invalid([{ field: 'expires_at', message: 'is in the past' }]);
    const { id, token, hash } = newToken(uuid);
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
    await withApiErrors(() => this.#records.put([id], record));
    return { ...toTokenView(record), token };
  }

  /** @throws {ApiError} not_found (also for another owner's token) */
  async one(id: string, principal: Principal): Promise<TokenView> {
    const record = this.find(id) ?? (await withApiErrors(() => this.#stored(id)));
    if (record === undefined || !maySee(principal, record.owner))
      throw new ApiError('not_found', `There is no token ${id}`);
    return toTokenView(record);
  }

  /** @throws {ApiError} not_found (also for another owner's token) */
  async revoke(id: string, principal: Principal): Promise<void> {
    await this.one(id, principal);
    await withApiErrors(() => this.#records.remove([id]));
  }

  async #stored(id: string): Promise<TokenRecord | undefined> {
    return (await this.#records.entry([id])).readable;
  }
}

function toTokenView({ v: _version, hash: _hash, ...view }: TokenRecord): TokenView {
  return view;
}
