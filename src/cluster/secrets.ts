import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createUser, fromSeed } from '@nats-io/nkeys';
import { ConfigError } from '../config-error.js';
import type { ClusterPaths } from './paths.js';

/** The users of nats.conf, each with its own inbox prefix. */
export const NATS_USERS = ['api', 'worker', 'observer', 'operator'] as const;
export type NatsUser = (typeof NATS_USERS)[number];

export const inboxPrefix = (user: NatsUser): string => `_INBOX_${user}`;

/** Makes the folder of a cluster, readable by its user alone. */
export async function makeFolders(paths: ClusterPaths): Promise<void> {
  for (const folder of [paths.dir, paths.logs, paths.nats]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  }
}

/** Makes the API's bearer token at the first call; 256 random bits. */
export async function ensureToken(paths: ClusterPaths): Promise<void> {
  await writeOnce(paths.token, () => randomBytes(32).toString('base64url'));
}

/** Makes, at the first call, what the nats-servers of a cluster show each other: one that is none of ours could read and write everything. */
export const ensureRouteSecret = (paths: ClusterPaths): Promise<string> =>
  writeOnce(join(paths.nats, 'route.secret'), () => randomBytes(32).toString('base64url'));

const LEAST_KEY_CHARS = 32;

/** @param file undefined: the store is not encrypted. @returns the key, or nothing. @throws {ConfigError} */
export async function readEncryptionKey(file: string | undefined): Promise<string> {
  if (file === undefined) return '';
  const fault = (what: string): ConfigError =>
    new ConfigError([`KSI_NATS_ENCRYPTION_KEY_FILE=${JSON.stringify(file)}: ${what}`]);
  const key = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fault((error as Error).message);
  });
  if (key.trim().length < LEAST_KEY_CHARS)
    throw fault(`holds fewer than ${LEAST_KEY_CHARS} characters. Make one: openssl rand -base64 32`);
  return key.trim();
}

/** Makes the seeds of the broker's users at the first call. @returns their public keys, which the broker is told. */
export async function ensureNatsUsers(paths: ClusterPaths): Promise<Record<NatsUser, string>> {
  const keys: [NatsUser, string][] = [];
  for (const user of NATS_USERS) {
    const seed = await writeOnce(paths.seed(user), () => new TextDecoder().decode(createUser().getSeed()));
    keys.push([user, fromSeed(new TextEncoder().encode(seed)).getPublicKey()]);
  }
  return Object.fromEntries(keys) as Record<NatsUser, string>;
}

async function writeOnce(path: string, make: () => string): Promise<string> {
  try {
    await writeFile(path, `${make()}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return (await readFile(path, 'utf8')).trim();
}
