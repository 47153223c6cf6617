/**
 * Checks and trims the address of the API.
 * @throws {TypeError} that says what is wrong. It does not quote an address with a password.
 */
export function checkedUrl(url: string): string {
  const trimmed = url.trim();
  const shown = trimmed.includes('@') ? '' : `: ${JSON.stringify(trimmed)}`;
  if (!/^https?:\/\//i.test(trimmed))
    throw new TypeError(`url must begin with http:// or https://, such as http://127.0.0.1:8000${shown}`);
  if (!URL.canParse(trimmed)) throw new TypeError(`url is not a valid address${shown}`);
  const { username, password, search, hash } = new URL(trimmed);
  if (username !== '' || password !== '') throw new TypeError('url must not contain a user or a password. Use token');
  if (search !== '' || hash !== '') throw new TypeError(`url must not have a query or a fragment${shown}`);
  return trimmed.replace(/\/+$/, '');
}

/** Checks and trims a token: a file with a token often ends in a newline. @throws {TypeError} that does not quote the token */
export function checkedToken(token: string): string {
  const trimmed = token.trim();
  if (trimmed === '') throw new TypeError('token is empty');
  if (!/^[\x21-\x7e]+$/.test(trimmed))
    throw new TypeError('token has a character that no token has, such as a space, a newline or a letter beyond ASCII');
  return trimmed;
}

/** @throws {TypeError} */
export function checkedRetries(retries: number): number {
  if (!Number.isInteger(retries) || retries < 0) throw new TypeError('retries must be an integer of at least 0');
  return retries;
}
