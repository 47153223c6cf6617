import { createHash, timingSafeEqual } from 'node:crypto';
import { LOCAL, type Principal } from './principal.js';

/** Tells whom a bearer token belongs to. */
export class Authenticator {
  readonly #hash: Buffer;

  constructor(token: string) {
    this.#hash = hash(token);
  }

  /** @param authorization the header, as it came. Undefined: it names nobody. */
  principalOf(authorization: string | undefined): Principal | undefined {
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    // Hashes are equally long, and compared in constant time.
    return token !== undefined && timingSafeEqual(hash(token), this.#hash) ? LOCAL : undefined;
  }
}

const hash = (token: string): Buffer => createHash('sha256').update(token).digest();

/** What is served without a token; below `/docs/` lies only the page of the API's documentation. */
const OPEN_PATHS = new Set(['/health', '/livez', '/readyz', '/docs', '/openapi.json', '/asyncapi.json']);
const OPEN_PREFIXES = ['/docs/', '/ui/'];

/** @param url of the request, with or without a query. */
export function isOpen(url: string): boolean {
  const path = url.split('?', 1)[0] ?? '';
  // A path that walks is not taken at its word.
  return (
    OPEN_PATHS.has(path) ||
    (!path.includes('..') && !path.includes('%') && OPEN_PREFIXES.some((prefix) => path.startsWith(prefix)))
  );
}
