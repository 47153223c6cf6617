import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../contracts/config/config.js';
import { readConfig } from '../config/load.js';
import { endOfFile } from '../process/file-end.js';
import { askSupervisor } from './control.js';
import { down } from './down.js';
import { ClusterError } from './errors.js';
import { resolveBubblewrap } from './bubblewrap.js';
import { withoutStacks } from './log-excerpt.js';
import { resolveNatsServer } from './nats-server/resolve.js';
import { clusterPaths, type ClusterPaths } from './paths.js';
import { makeFolders } from './secrets.js';
import { claudeCredentials } from './plan.js';
import { needsStop } from './restart.js';
import { withoutPassword } from '../without-password.js';
import type { StartMessage } from './start-message.js';
import type { ClusterStatus } from './supervisor.js';

export interface UpOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Use the Messages API stand-in instead of a model. */
  readonly demo: boolean;
  readonly progress: (text: string) => void;
  /** An abort stops everything that was started. */
  readonly signal: AbortSignal;
}

export interface UpResult {
  readonly status: ClusterStatus;
  /** False if the cluster was running already. */
  readonly started: boolean;
}

/**
 * Starts the cluster of KSI_DIR and waits until it is ready. If it runs already, only the number of workers changes.
 * @throws {ConfigError | ClusterError} after stopping everything that it started
 */
export async function up(options: UpOptions): Promise<UpResult> {
  const config = readConfig(options.env);
  const paths = clusterPaths(config.KSI_DIR);
  const running = await runningCluster(paths, options);
  if (running !== undefined) return { status: await adapt(running, config, paths, options), started: false };

  const { env, progress, signal } = options;
  const server =
    config.KSI_NATS_URL === undefined ? (await resolveNatsServer({ env, progress, signal })).path : undefined;
  const bubblewrap =
    config.KSI_CONTAINMENT === 'process_group' ? undefined : await resolveBubblewrap({ env, progress, signal });
  await makeFolders(paths);
  signal.throwIfAborted();
  const status = await launch(paths, { KSI_NATS_SERVER: server, KSI_BWRAP: bubblewrap }, options);
  if (status !== undefined) return { status, started: true };
  const other = await concurrentCluster(paths, options);
  return { status: await adapt(other, config, paths, options), started: false };
}

const isStopping = ({ state }: ClusterStatus): boolean => state === 'stopping' || state === 'stopped';

/** Waits for a cluster that starts to be ready, and for one that stops to have stopped. @returns undefined if none runs */
async function runningCluster(paths: ClusterPaths, options: UpOptions): Promise<ClusterStatus | undefined> {
  try {
    if (!isStopping(await askSupervisor(paths.socket, { op: 'status' }, options))) {
      const status = await askSupervisor(paths.socket, { op: 'ready' }, options);
      if (!isStopping(status)) return status;
    }
    options.progress('the cluster is stopping; waiting until it has stopped');
    await down(paths.dir, options.progress);
    return undefined;
  } catch (error) {
    if (error instanceof ClusterError && error.code === 'not_running') return undefined;
    throw error;
  }
}

const CONCURRENT_START_MS = 15_000;

/** Waits for the cluster that a concurrent `up` starts. Its supervisor has the folder's lock, but may not listen yet. */
async function concurrentCluster(paths: ClusterPaths, options: UpOptions): Promise<ClusterStatus> {
  const deadline = performance.now() + CONCURRENT_START_MS;
  for (;;) {
    const status = await runningCluster(paths, options);
    if (status !== undefined) return status;
    if (performance.now() > deadline)
      throw new ClusterError(
        'not_answering',
        `Another \`up\` is starting the cluster in ${paths.dir}, but its supervisor does not answer. See ${paths.log('supervisor')}, and run \`make down\`.`,
      );
    await sleep(100, undefined, { signal: options.signal });
  }
}

/** Variables that may differ from those of the running cluster. Only the number of workers changes without a restart. */
const NOT_COMPARED = new Set(['KSI_DIR', 'KSI_NATS_SERVER', 'KSI_WORKERS', 'KSI_LOG_LEVEL']);

async function adapt(
  running: ClusterStatus,
  config: Config,
  paths: ClusterPaths,
  options: UpOptions,
): Promise<ClusterStatus> {
  const isSet = (name: string): boolean => (options.env[name] ?? '') !== '';
  const settings = Object.entries(config).flatMap(([name, value]) => {
    const now = running.config[name as keyof Config];
    const shown = withoutPassword(String(value));
    return !isSet(name) || NOT_COMPARED.has(name) || String(now) === shown
      ? []
      : [{ name, change: `${name}=${shown} (now ${String(now)})` }];
  });
  const differences = [...settings.map(({ change }) => change), ...newCredentials(running, config, options)];
  if (options.demo && !running.demo) differences.push('a demo');
  if (differences.length > 0) {
    const stop = (options.demo && !running.demo) || settings.some(({ name }) => needsStop(name));
    throw new ClusterError(
      'needs_restart',
      `The cluster is up already, with other settings. To change to ${differences.join(', ')}, ${stop ? 'run `make down`, then `make up`' : 'run `make restart`, which restarts its processes one after the other'}.`,
    );
  }
  const bridge = running.processes.find(({ role }) => role === 'bridge');
  if (config.KSI_BRIDGE === 1 && bridge?.state === 'stopped')
    await askSupervisor(paths.socket, { op: 'bridge' }, options);
  const workers = running.processes.filter(({ role }) => role === 'worker').length;
  const wanted = isSet('KSI_WORKERS') ? config.KSI_WORKERS : workers;
  return wanted === workers ? running : askSupervisor(paths.socket, { op: 'scale', workers: wanted }, options);
}

/** Credentials of Claude in the environment that the running cluster lacks or has with another value. */
function newCredentials(running: ClusterStatus, config: Config, { env }: UpOptions): string[] {
  if (running.demo) return [];
  return Object.entries(claudeCredentials(env, config)).flatMap(([name, fingerprint]) => {
    const now = running.claude_credentials[name];
    if (now === fingerprint) return [];
    return [`${name} (now ${now === undefined ? 'not set' : 'another value'})`];
  });
}

/** Starts the supervisor and waits until the cluster is ready. @returns undefined if another supervisor runs the cluster */
async function launch(
  paths: ClusterPaths,
  executables: Readonly<Record<string, string | undefined>>,
  options: UpOptions,
): Promise<ClusterStatus | undefined> {
  const main = join(dirname(fileURLToPath(import.meta.url)), 'main.js');
  const log = openSync(paths.log('supervisor'), 'a', 0o600);
  const child = spawn(process.execPath, ['--enable-source-maps', main, ...(options.demo ? ['--demo'] : [])], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    env: { ...options.env, KSI_DIR: paths.dir, KSI_LOG_FILE: paths.log('supervisor'), ...executables },
  });
  closeSync(log);
  const exited = once(child, 'exit');
  // A supervisor whose pipe closes during the start stops the cluster.
  const abort = (): void => {
    if (child.connected) child.disconnect();
  };
  options.signal.addEventListener('abort', abort, { once: true });
  try {
    const outcome = await firstOutcome(child, options.progress);
    if (outcome !== undefined && 'ready' in outcome) {
      abort();
      child.unref();
      return outcome.ready;
    }
    await exited;
    options.signal.throwIfAborted();
    if (outcome === undefined) throw await diedEarly(paths);
    if ('taken' in outcome) return undefined;
    throw new ClusterError(outcome.failed.code, outcome.failed.message);
  } finally {
    options.signal.removeEventListener('abort', abort);
  }
}

type Outcome = Exclude<StartMessage, { progress: string }>;

/** @returns undefined if the supervisor ended, or closed the pipe, without a message */
function firstOutcome(child: ChildProcess, progress: (text: string) => void): Promise<Outcome | undefined> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('disconnect', () => resolve(undefined));
    child.once('exit', () => resolve(undefined));
    child.on('message', (message: StartMessage) => {
      if ('progress' in message) progress(message.progress);
      else resolve(message);
    });
  });
}

async function diedEarly(paths: ClusterPaths): Promise<ClusterError> {
  const log = paths.log('supervisor');
  return new ClusterError(
    'process_failed',
    `The supervisor ended before the cluster was ready. The end of its log, ${log}:\n${withoutStacks(await endOfFile(log, 12))}`,
  );
}
