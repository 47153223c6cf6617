import type { Scope, TokenRecord } from '../../contracts/access/tokens.js';
import type { Clock } from '../clock.js';
import { ApiError } from '../errors/api-error.js';
import { LOCAL, type Principal } from './principal.js';
import { hashOf, matches, partsOf } from './tokens/secret.js';
import type { TokenRegistry } from './tokens/registry.js';

interface KnownTokens {
  readonly tokens: Pick<TokenRegistry, 'find' | 'onChange'>;
  /** The broker's time, by which tokens expire. */
  readonly clock: Pick<Clock, 'now' | 'after'>;
}

/** The longest timer for a token's expiry. Then it is checked again, because the broker's clock may have been corrected. */
const RECHECK_MS = 60_000;

const BEARER = /^Bearer +(\S+) *$/i;

/** @param authorization the header. */
export const hasToken = (authorization: string | undefined): boolean => BEARER.test(authorization ?? '');

/** Authenticates bearer tokens. */
export class Authenticator {
  readonly #localHash: string;
  readonly #known: KnownTokens | undefined;

  /** @param localToken the token in the token file. @param known undefined: accept only the local token. */
  constructor(localToken: string, known?: KnownTokens) {
    this.#localHash = hashOf(localToken);
    this.#known = known;
  }

  /** @param authorization the header. @returns undefined if the token is unknown, revoked or expired. */
  principalOf(authorization: string | undefined): Principal | undefined {
    const token = BEARER.exec(authorization ?? '')?.[1];
    if (token === undefined) return undefined;
    if (matches(token, this.#localHash)) return LOCAL;
    const parts = partsOf(token);
    const record = parts === undefined ? undefined : this.#known?.tokens.find(parts.id);
    if (parts === undefined || record === undefined || !matches(parts.secret, record.hash)) return undefined;
    return this.#valid(record);
  }

  /** The principal of a token that was authenticated earlier; undefined if it has been revoked or has expired. */
  holderOf(tokenId: string): Principal | undefined {
    if (tokenId === LOCAL.tokenId) return LOCAL;
    const record = this.#known?.tokens.find(tokenId);
    return record === undefined ? undefined : this.#valid(record);
  }

  /**
   * Waits on a principal's behalf while its token is valid.
   * @param wait is given a signal that aborts when the token ends.
   * @throws {ApiError} unauthorized if the token ended before the wait did, whatever `wait` returns.
   */
  async whileValid<T>(principal: Principal, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    const unwatch = this.onEnd(principal, () => ended.abort());
    try {
      const found = await wait(ended.signal);
      if (ended.signal.aborted || this.holderOf(principal.tokenId) === undefined)
        throw new ApiError('unauthorized', 'The token was revoked or expired during the request');
      return found;
    } finally {
      unwatch();
    }
  }

  /** Calls `ended` once when a token is revoked or expires. @returns a function that unsubscribes. */
  onEnd({ tokenId, expiresAt }: Principal, ended: () => void): () => void {
    const { tokens, clock } = this.#known ?? {};
    let stopped = false;
    let cancelTimer: (() => void) | undefined;
    const checkToken = (): void => {
      if (this.holderOf(tokenId) === undefined) {
        stop();
        ended();
      } else if (expiresAt !== undefined && clock !== undefined) {
        cancelTimer?.();
        cancelTimer = clock.after(Math.min(expiresAt - clock.now() + 1, RECHECK_MS), checkToken);
      }
    };
    const unsubscribe = tokens?.onChange((id) => {
      if (id === tokenId) checkToken();
    });
    const stop = (): void => {
      stopped = true;
      unsubscribe?.();
      cancelTimer?.();
    };
    // The token may have ended since it was authenticated.
    queueMicrotask(() => {
      if (!stopped) checkToken();
    });
    return stop;
  }

  #valid(record: TokenRecord): Principal | undefined {
    const expiresAt = record.expires_at === undefined ? undefined : Date.parse(record.expires_at);
    if (expiresAt !== undefined && (this.#known?.clock.now() ?? Infinity) >= expiresAt) return undefined;
    return {
      tokenId: record.token_id,
      owner: record.owner,
      scopes: new Set(record.scopes),
      seesAll: record.all_owners,
      rate: record.rate,
      concurrency: record.concurrency,
      expiresAt,
    };
  }
}

/** @throws {ApiError} forbidden */
export function demand({ scopes }: Principal, scope: Scope): void {
  if (!scopes.has(scope)) throw new ApiError('forbidden', `This needs the scope \`${scope}\``);
}

/** Paths that need no token. `/docs/` contains only the API's documentation. */
const OPEN_PATHS = new Set(['/health', '/livez', '/readyz', '/docs', '/openapi.json']);
const OPEN_FOLDER = '/docs/';

/** @param url the request's URL, with or without a query. */
export function isOpen(url: string): boolean {
  const path = url.split('?', 1)[0] ?? '';
  // `..` and encoded characters could lead out of the folder.
  return OPEN_PATHS.has(path) || (path.startsWith(OPEN_FOLDER) && !path.includes('..') && !path.includes('%'));
}
