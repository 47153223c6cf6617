import { access, chmod, constants, copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join, resolve as absolute } from 'node:path';
import { ClusterError } from '../errors.js';
import { fetchFromDebian, type DebianPackage } from './debian.js';
import { fetchRelease } from './release.js';
import { run } from './run.js';
import { isNewEnough, MIN_VERSION, versionIn } from './version.js';

/** The most stable suite comes first. */
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
  /** With KSI_NATS_SERVER, PATH, XDG_CACHE_HOME and HOME. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called before each slow step. */
  readonly progress?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds a nats-server that is new enough. Tries KSI_NATS_SERVER, PATH and the cache, in this order, and then downloads one (docs/adr/0008).
 * @throws {ClusterError} that lists what was tried and says what to do
 */
export async function resolveNatsServer(options: ResolveOptions): Promise<NatsServer> {
  const { env, signal, progress = () => undefined } = options;
  const named = env['KSI_NATS_SERVER'];
  if (named !== undefined && named !== '') return checkNamed(absolute(named));
  const tried: string[] = [];
  for (const folder of (env['PATH'] ?? '').split(delimiter).filter(Boolean)) {
    const found = await probe(join(folder, 'nats-server'));
    if (found === undefined) continue;
    if (isNewEnough(found.version)) return found;
    tried.push(`${found.path} is ${found.version}`);
  }
  if (tried.length === 0) tried.push('PATH has no nats-server');
  const cached = cachePath(env);
  const fetched = await probe(cached);
  if (fetched !== undefined && isNewEnough(fetched.version)) return fetched;
  const put = (executable: string): Promise<void> => install(executable, cached);
  for (const fetch of [
    () => fetchRelease(put, progress, signal),
    () => fetchFromDebian(NATS_SERVER, put, progress, signal),
  ]) {
    try {
      await fetch();
      const server = await probe(cached);
      if (server === undefined) throw new Error('the downloaded nats-server does not run on this machine');
      progress(`nats-server ${server.version} is now at ${server.path}`);
      return server;
    } catch (error) {
      signal?.throwIfAborted();
      tried.push(reason(error));
    }
  }
  throw new ClusterError(
    'no_nats_server',
    `Found no nats-server ≥ ${MIN_VERSION}, and could not download one:\n${tried.map((text) => `  - ${text}`).join('\n')}\n` +
      'Install one (https://nats.io/download) and set KSI_NATS_SERVER to its path, or set KSI_NATS_URL to a running one.',
  );
}

/** The path of a downloaded executable, in the user's cache. All clusters and checkouts share it. */
export function cachePath(env: ResolveOptions['env'], name = 'nats-server'): string {
  const xdg = env['XDG_CACHE_HOME'];
  const base = xdg?.startsWith('/') === true ? xdg : join(env['HOME'] ?? homedir(), '.cache');
  return join(base, 'ksi', name);
}

async function checkNamed(path: string): Promise<NatsServer> {
  const server = await probe(path);
  if (server === undefined)
    throw new ClusterError(
      'nats_server_unusable',
      `KSI_NATS_SERVER=${path} is not a nats-server that runs on this machine. Correct the path, or unset KSI_NATS_SERVER to let KSI find one.`,
    );
  if (!isNewEnough(server.version))
    throw new ClusterError(
      'nats_server_unusable',
      `KSI_NATS_SERVER=${path} is version ${server.version}, but KSI needs ${MIN_VERSION} or later. Set it to a newer one, or unset it to let KSI find one.`,
    );
  return server;
}

/** @returns undefined if `path` is not a nats-server that runs on this machine */
async function probe(path: string): Promise<NatsServer | undefined> {
  try {
    await access(path, constants.X_OK);
    const version = versionIn(await run(path, ['--version'], { timeoutMs: 10_000 }));
    return version === undefined ? undefined : { path, version };
  } catch {
    return undefined;
  }
}

/** Installs an executable by a rename, so that concurrent downloads do no harm and nobody starts a partial copy. */
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
