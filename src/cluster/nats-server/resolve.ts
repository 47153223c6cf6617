import { access, chmod, constants, copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join, resolve as absolute } from 'node:path';
import { ClusterError } from '../errors.js';
import { fetchFromDebian, type DebianPackage } from './debian.js';
import { fetchRelease } from './release.js';
import { run } from './run.js';
import { isNewEnough, MIN_VERSION, versionIn } from './version.js';

/** Suites that may have a nats-server new enough, the one nearest to a stable machine first. */
const NATS_SERVER: DebianPackage = {
  name: 'nats-server',
  executable: 'nats-server',
  suites: () => ['trixie-backports', 'forky', 'sid'],
  isNewEnough,
};

export interface NatsServer {
  readonly path: string;
  readonly version: string;
}

export interface ResolveOptions {
  /** KSI_NATS_SERVER, PATH, XDG_CACHE_HOME, HOME. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Is told what takes long. */
  readonly progress?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds a nats-server that is new enough: KSI_NATS_SERVER, else the one on PATH, else the one that was fetched before, else
 * fetches one (docs/adr/0008).
 * @throws {ClusterError} that says all that was tried and what to do.
 */
export async function resolveNatsServer(options: ResolveOptions): Promise<NatsServer> {
  const { env, signal, progress = () => undefined } = options;
  const named = env['KSI_NATS_SERVER'];
  if (named !== undefined && named !== '') return checkNamed(absolute(named));
  const tried: string[] = [];
  for (const folder of (env['PATH'] ?? '').split(delimiter).filter(Boolean)) {
    const found = await look(join(folder, 'nats-server'));
    if (found === undefined) continue;
    if (isNewEnough(found.version)) return found;
    tried.push(`${found.path} is ${found.version}`);
  }
  if (tried.length === 0) tried.push('PATH has no nats-server');
  const cached = cachePath(env);
  const fetched = await look(cached);
  if (fetched !== undefined && isNewEnough(fetched.version)) return fetched;
  const put = (executable: string): Promise<void> => install(executable, cached);
  for (const fetch of [
    () => fetchRelease(put, progress, signal),
    () => fetchFromDebian(NATS_SERVER, put, progress, signal),
  ]) {
    try {
      await fetch();
      const server = await look(cached);
      if (server === undefined) throw new Error('what was fetched does not run on this machine');
      progress(`nats-server ${server.version} is now at ${server.path}`);
      return server;
    } catch (error) {
      signal?.throwIfAborted();
      tried.push(reason(error));
    }
  }
  throw new ClusterError(
    'no_nats_server',
    `There is no nats-server ≥ ${MIN_VERSION}, and none could be fetched:\n${tried.map((text) => `  - ${text}`).join('\n')}\n` +
      'Install one (https://nats.io/download) and name it with KSI_NATS_SERVER, or name a running one with KSI_NATS_URL.',
  );
}

/** Where the fetched one is kept: a cache folder of the user's, so that all clusters and checkouts share it. */
export function cachePath(env: ResolveOptions['env'], name = 'nats-server'): string {
  const xdg = env['XDG_CACHE_HOME'];
  const base = xdg?.startsWith('/') === true ? xdg : join(env['HOME'] ?? homedir(), '.cache');
  return join(base, 'ksi', name);
}

async function checkNamed(path: string): Promise<NatsServer> {
  const server = await look(path);
  if (server === undefined)
    throw new ClusterError(
      'nats_server_unusable',
      `KSI_NATS_SERVER=${path} is no nats-server that runs here. Correct it, or unset it to have one found.`,
    );
  if (!isNewEnough(server.version))
    throw new ClusterError(
      'nats_server_unusable',
      `KSI_NATS_SERVER=${path} is ${server.version}; KSI needs ${MIN_VERSION} or later. Name a newer one, or unset it to have one found.`,
    );
  return server;
}

/** @returns undefined when there is none at `path` or it doesn't run. */
async function look(path: string): Promise<NatsServer | undefined> {
  try {
    await access(path, constants.X_OK);
    const version = versionIn(await run(path, ['--version'], { timeoutMs: 10_000 }));
    return version === undefined ? undefined : { path, version };
  } catch {
    return undefined;
  }
}

/** Puts it in place by a rename: two that fetch at once do no harm, and nobody starts half of it. */
export async function install(executable: string, target: string): Promise<void> {
  const draft = `${target}.${process.pid}`;
  await mkdir(join(target, '..'), { recursive: true });
  try {
    await copyFile(executable, draft);
    await chmod(draft, 0o755);
    await rename(draft, target);
  } finally {
    await rm(draft, { force: true });
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error && !error.message.includes(error.cause.message) ? error.cause.message : '';
  return [error.message, cause].filter(Boolean).join(': ').split('\n')[0] ?? '';
}
