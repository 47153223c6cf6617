/** The prefix of an encoded key. */
const ENCODED = '--';

/**
 * The subject token of a key: the key itself if it is a valid token (`A-Z a-z 0-9 _ -`, at most 128), else `--` and its UTF-8 in base64url.
 * Changes of the key are published on `ksi.events.shared.<owner>.<token>`.
 */
export function keyToken(key: string): string {
  if (/^[A-Za-z0-9_-]{1,128}$/.test(key) && !key.startsWith(ENCODED)) return key;
  const bytes = new TextEncoder().encode(key);
  const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  return `${ENCODED}${base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`;
}

/** The key of a token. */
export function keyOfToken(token: string): string {
  if (!token.startsWith(ENCODED)) return token;
  const base64 = token.slice(ENCODED.length).replaceAll('-', '+').replaceAll('_', '/');
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
}
