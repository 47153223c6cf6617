import { fromSeed } from '@nats-io/nkeys';

/** Checks and trims the addresses of the broker. @throws {TypeError} that does not quote an address with a password */
export function checkedServers(servers: string | readonly string[]): string[] {
  const all = (typeof servers === 'string' ? servers.split(',') : [...servers]).map((server) => server.trim());
  for (const server of all) {
    const shown = server.includes('@') ? '' : `: ${JSON.stringify(server)}`;
    const [, scheme] = /^([a-z0-9+.-]+):\/\//i.exec(server) ?? [];
    if (scheme !== undefined && scheme !== 'nats' && scheme !== 'tls')
      throw new TypeError(`servers must have addresses with nats:// or tls://, such as nats://127.0.0.1:4222${shown}`);
    if (!URL.canParse(scheme === undefined ? `nats://${server}` : server))
      throw new TypeError(`servers has an invalid address${shown}`);
  }
  return all;
}

/** Checks and trims an NKey seed. @throws {TypeError} that does not quote the seed */
export function checkedSeed(credentials: string): string {
  const seed = credentials.trim();
  try {
    fromSeed(new TextEncoder().encode(seed)).clear();
  } catch (error) {
    throw new TypeError(
      'credentials is not an NKey seed. Pass the content of the seed file, such as .ksi/nats/operator.nk, and not its path',
      { cause: error },
    );
  }
  return seed;
}

/** @throws {TypeError} */
export function checkedInboxPrefix(prefix: string): string {
  if (!/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(prefix))
    throw new TypeError(
      `inboxPrefix must be a subject without wildcards, such as _INBOX_operator: ${JSON.stringify(prefix)}`,
    );
  return prefix;
}
