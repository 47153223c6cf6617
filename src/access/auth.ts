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

/** A token's end is looked at again after this: the broker's clock may have been corrected. */
const LOOK_AGAIN_MS = 60_000;

const BEARER = /^Bearer +(\S+) *$/i;

/** @param authorization the header. */
export const hasToken = (authorization: string | undefined): boolean => BEARER.test(authorization ?? '');

/** Tells whom a bearer token belongs to. */
export class Authenticator {
  readonly #localHash: string;
  readonly #known: KnownTokens | undefined;

  /** @param localToken the one in the token file. @param known undefined: no other token is known (yet). */
  constructor(localToken: string, known?: KnownTokens) {
    this.#localHash = hashOf(localToken);
    this.#known = known;
  }

  /** @param authorization the header, as it came. Undefined: it names nobody, or nobody any more. */
  principalOf(authorization: string | undefined): Principal | undefined {
    const token = BEARER.exec(authorization ?? '')?.[1];
    if (token === undefined) return undefined;
    if (matches(token, this.#localHash)) return LOCAL;
    const parts = partsOf(token);
    const record = parts === undefined ? undefined : this.#known?.tokens.find(parts.id);
    if (parts === undefined || record === undefined || !matches(parts.secret, record.hash)) return undefined;
    return this.#valid(record);
  }

  /** The holder of a token that was shown before, if it still holds. */
  holderOf(tokenId: string): Principal | undefined {
    if (tokenId === LOCAL.tokenId) return LOCAL;
    const record = this.#known?.tokens.find(tokenId);
    return record === undefined ? undefined : this.#valid(record);
  }

  /**
   * Waits on a principal's behalf for as long as the token holds.
   * @param wait is given a signal that aborts when the token ends.
   * @throws {ApiError} unauthorized: the token ended before the wait did, whatever `wait` found.
   */
  async whileValid<T>(principal: Principal, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    const unwatch = this.onEnd(principal, () => ended.abort());
    try {
      const found = await wait(ended.signal);
      if (ended.signal.aborted || this.holderOf(principal.tokenId) === undefined)
        throw new ApiError('unauthorized', 'The token was revoked or has expired meanwhile');
      return found;
    } finally {
      unwatch();
    }
  }

  /** Calls `ended` once when a token is revoked or expires. Returns how to stop that. */
  onEnd({ tokenId, expiresAt }: Principal, ended: () => void): () => void {
    const { tokens, clock } = this.#known ?? {};
    let stopped = false;
    let forgetTimer: (() => void) | undefined;
    const look = (): void => {
      if (this.holderOf(tokenId) === undefined) {
        stop();
        ended();
      } else if (expiresAt !== undefined && clock !== undefined) {
        forgetTimer?.();
        forgetTimer = clock.after(Math.min(expiresAt - clock.now() + 1, LOOK_AGAIN_MS), look);
      }
    };
    const forget = tokens?.onChange((id) => {
      if (id === tokenId) look();
    });
    const stop = (): void => {
      stopped = true;
      forget?.();
      forgetTimer?.();
    };
    // It may have ended since the request was let in.
    queueMicrotask(() => {
      if (!stopped) look();
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

/** What is served without a token. Below `/docs/` lies only the page of the API's documentation. */
const OPEN_PATHS = new Set(['/health', '/livez', '/readyz', '/docs', '/openapi.json']);
const OPEN_FOLDER = '/docs/';

/** @param url of the request, with or without a query. */
export function isOpen(url: string): boolean {
  const path = url.split('?', 1)[0] ?? '';
  // A path that walks is not taken at its word.
  return OPEN_PATHS.has(path) || (path.startsWith(OPEN_FOLDER) && !path.includes('..') && !path.includes('%'));
}
