import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { TOKEN_PATTERN } from '../../../contracts/access/tokens.js';

const FORM = new RegExp(TOKEN_PATTERN);
const ID_BYTES = 8;
const SECRET_BYTES = 32;

/** 256 random bits, in characters that need no quoting in a header, a URL or a shell. */
export const randomSecret = (): string => randomBytes(SECRET_BYTES).toString('base64url');

/** A fast hash is enough for a random secret. Slow hashes are for passwords. */
export const hashOf = (secret: string): string => hash('sha256', secret);

export interface NewToken {
  readonly id: string;
  readonly token: string;
  readonly hash: string;
}

/** @param uuid its id comes from it. Default: a random id. */
export function newToken(uuid?: string): NewToken {
  const id = uuid === undefined ? randomBytes(ID_BYTES).toString('hex') : hashOf(uuid).slice(0, 2 * ID_BYTES);
  const secret = randomSecret();
  return { id, token: `ksi_${id}_${secret}`, hash: hashOf(secret) };
}

/** The parts of a token; undefined if it is malformed. */
export function partsOf(token: string): { id: string; secret: string } | undefined {
  const [, id, secret] = FORM.exec(token) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/** Compares in constant time. @param known in hexadecimal, of any length. */
export const matches = (secret: string, known: string): boolean =>
  timingSafeEqual(Buffer.from(hashOf(secret)), Buffer.from(known.padEnd(HASH_CHARS).slice(0, HASH_CHARS), 'latin1'));
const HASH_CHARS = 64;
