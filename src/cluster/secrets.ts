import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createUser, fromSeed } from '@nats-io/nkeys';
import { MAX_WORKERS, type Config } from '../../contracts/config/config.js';
import { listOf } from '../config/load.js';
import { ConfigError } from '../config/error.js';
import type { BrokerUser } from './nats-conf.js';
import type { ClusterPaths } from './paths.js';
import { workerKey } from './worker-keys.js';

/** The users of nats.conf that every cluster has. */
export const NATS_USERS = ['api', 'observer', 'operator'] as const;
/** Also a user for each worker process, and for each agent that connects to the broker itself. */
export type NatsUser = (typeof NATS_USERS)[number] | `worker-${number}` | `agent-${string}`;

/** Each user has its own inbox prefix, so that it cannot read the replies to another. */
export const inboxPrefix = (user: NatsUser): string => `_INBOX_${user}`;

/** The agents with their own broker user, without duplicates. */
export const agentsOf = (config: Config): string[] => [...new Set(listOf(config.KSI_NATS_AGENTS))];

/** Creates a cluster's folders. Only the current user can read them. */
export async function makeFolders(paths: ClusterPaths): Promise<void> {
  for (const folder of [paths.dir, paths.logs, paths.nats]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  }
}

/** Creates the API's bearer token unless it exists. */
export async function ensureToken(paths: ClusterPaths): Promise<void> {
  await writeOnce(paths.token, () => randomBytes(32).toString('base64url'));
}

/** Creates, unless it exists, the secret of the connections between nats-servers. A program that has it can read and write everything. */
export const ensureRouteSecret = (paths: ClusterPaths): Promise<string> =>
  writeOnce(join(paths.nats, 'route.secret'), () => randomBytes(32).toString('base64url'));

const MIN_KEY_CHARS = 32;

/** @returns '', which means no encryption, if `file` is undefined @throws {ConfigError} */
export async function readEncryptionKey(file: string | undefined): Promise<string> {
  if (file === undefined) return '';
  const fault = (what: string): ConfigError =>
    new ConfigError([`KSI_NATS_ENCRYPTION_KEY_FILE=${JSON.stringify(file)}: ${what}`]);
  const key = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fault((error as Error).message);
  });
  if (key.trim().length < MIN_KEY_CHARS)
    throw fault(`the key has fewer than ${MIN_KEY_CHARS} characters. Create one with: openssl rand -base64 32`);
  return key.trim();
}

/** Creates the seeds of the users that every cluster has, unless they exist. @returns their public keys */
export async function ensureNatsUsers(paths: ClusterPaths): Promise<Record<(typeof NATS_USERS)[number], string>> {
  return {
    api: await ensureKey(paths, 'api'),
    observer: await ensureKey(paths, 'observer'),
    operator: await ensureKey(paths, 'operator'),
  };
}

/** Creates the seeds of the agents with their own user, unless they exist. */
export async function ensureAgentUsers(paths: ClusterPaths, config: Config): Promise<BrokerUser[]> {
  const users: BrokerUser[] = [];
  for (const id of agentsOf(config)) users.push({ name: id, key: await ensureKey(paths, `agent-${id}`) });
  return users;
}

async function ensureKey(paths: ClusterPaths, user: NatsUser): Promise<string> {
  const seed = await writeOnce(paths.seed(user), () => new TextDecoder().decode(createUser().getSeed()));
  return fromSeed(new TextEncoder().encode(seed)).getPublicKey();
}

/** The users of all workers that a cluster can have. The broker reads its users only at its start, and workers are added later. */
export async function ensureWorkerUsers(paths: ClusterPaths): Promise<BrokerUser[]> {
  const secret = await workersSecret(paths);
  return Array.from({ length: MAX_WORKERS }, (_, index) => {
    const name = `worker-${index + 1}`;
    return { name, key: workerKey(secret, name).publicKey };
  });
}

/** Writes the seed of a worker that is about to start. */
export async function ensureWorkerSeed(paths: ClusterPaths, name: `worker-${number}`): Promise<void> {
  const { seed } = workerKey(await workersSecret(paths), name);
  // Overwrite an existing seed: the broker rejects it if the secret has changed since.
  await writeFile(paths.seed(name), `${seed}\n`, { mode: 0o600 });
}

const workersSecret = async (paths: ClusterPaths): Promise<Buffer> =>
  Buffer.from(
    await writeOnce(join(paths.nats, 'workers.secret'), () => randomBytes(32).toString('base64url')),
    'base64url',
  );

async function writeOnce(path: string, make: () => string): Promise<string> {
  try {
    await writeFile(path, `${make()}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return (await readFile(path, 'utf8')).trim();
}
