import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { DiskSpace, dataFolders } from '../process/disk-space.js';
import { signal } from '../process/terminate.js';
import { endOfFile } from '../process/file-end.js';
import { folderId } from '../process/folder-id.js';
import { brokerSpecs, monitorUrl, serverName } from './broker.js';
import { watchBroker } from './broker-watch.js';
import { writeJson, type Endpoints } from './endpoints.js';
import { untilDrained } from './drain.js';
import { withoutPassword } from '../without-password.js';
import { ClusterError } from './errors.js';
import { withoutStacks } from './log-excerpt.js';
import { membership, recordProcesses, type RecordedProcess } from './leftovers.js';
import { ManagedProcess, type ProcessStatus } from './managed-process.js';
import {
  apiSpec,
  bridgeSpec,
  claudeCredentials,
  standinSpec,
  workerSpec,
  type Plan,
  type ProcessSpec,
  type Role,
} from './plan.js';
import { endpointsOf } from './plan-endpoints.js';
import { changedPlan, specAgain } from './restart.js';
import { untilListening, untilReady } from './readiness.js';
import { ensureWorkerSeed } from './secrets.js';

export interface ClusterStatus {
  readonly state: 'starting' | 'ready' | 'stopping' | 'stopped';
  readonly pid: number;
  readonly uptime_s: number;
  readonly processes: readonly ProcessStatus[];
  readonly endpoints: Endpoints;
  readonly config: Config;
  readonly demo: boolean;
  /** The variables that sign Claude in, each with a fingerprint of its value. Empty in a demo. */
  readonly claude_credentials: Readonly<Record<string, string>>;
}

/** For the whole start. */
const READY_WITHIN_MS = 60_000;
/** The start fails when one process has ended this often. */
const ENDS_BEFORE_GIVING_UP = 2;
const LOG_LINES_SHOWN = 12;
const RECORD_AGAIN_MS = 2_000;
/** The longest backoff while a disk is full. */
const FULL_DISK_PAUSE_MS = 4_000;

/** The bridge is a client of the APIs. */
const STOP_ORDER: readonly Role[] = ['bridge', 'worker', 'api', 'standin', 'broker'];

/** Runs the processes of one cluster: broker, stand-in, APIs, workers and the bridge. */
export class Supervisor {
  #plan: Plan;
  readonly #folderId: string;
  readonly #log: Logger;
  readonly #disk: DiskSpace;
  readonly #startedAt = performance.now();
  readonly #aborted = new AbortController();
  readonly #processes: ManagedProcess[] = [];
  #state: ClusterStatus['state'] = 'starting';
  #failStart: ((error: ClusterError) => void) | undefined;
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #scaling: Promise<void> = Promise.resolve();
  #watching: Promise<void> = Promise.resolve();
  #recording: NodeJS.Timeout | undefined;

  constructor(plan: Plan, log: Logger) {
    this.#plan = plan;
    this.#folderId = folderId(plan.paths.dir);
    this.#log = log;
    this.#disk = new DiskSpace(dataFolders(plan.paths.dir));
  }

  /**
   * Starts everything, and resolves when every API is ready. If one process fails, it stops the others.
   * @throws {ClusterError} with the process's name and the end of its log
   */
  start(progress: (text: string) => void): Promise<void> {
    this.#started ??= this.#start(progress).catch(async (error: unknown) => {
      await this.stop(() => undefined);
      throw error;
    });
    return this.#started;
  }

  /** Stops the workers, which may finish their runs, then the APIs, and the broker last. Idempotent. */
  stop(progress: (text: string) => void): Promise<void> {
    this.#stopped ??= this.#stop(progress);
    return this.#stopped;
  }

  /** Starts or stops workers until `count` run. */
  scale(count: number, progress: (text: string) => void): Promise<void> {
    this.#scaling = this.#scaling.then(() => this.#scale(count, progress));
    return this.#scaling;
  }

  /** Restarts the bridge after a client has shut it down. Does nothing if it runs. @throws {ClusterError} */
  bridge(progress: (text: string) => void): Promise<void> {
    this.#scaling = this.#scaling.then(() => this.#restartBridge(progress));
    return this.#scaling;
  }

  /**
   * Restarts APIs, workers and the bridge one after the other, with the settings that `env` changes. The broker keeps running. Stops at the first
   * process that does not become ready.
   * @throws {ConfigError | ClusterError} `needs_restart` if a setting can change only while the cluster is stopped
   */
  restart(env: Plan['env'], progress: (text: string) => void): Promise<void> {
    const restarted = this.#scaling.then(() => this.#restart(env, progress));
    this.#scaling = restarted.catch(() => undefined);
    return restarted;
  }

  /** Makes each nats-server reopen its log file. KSI's own processes notice by themselves that theirs was renamed. */
  reopenBrokerLogs(): void {
    for (const { spec, identity } of this.#processes)
      if (spec.role === 'broker' && identity !== undefined) signal(identity.pid, 'SIGUSR1');
  }

  status(): ClusterStatus {
    const { config, env, standinPort } = this.#plan;
    const demo = standinPort !== undefined;
    return {
      state: this.#state,
      pid: process.pid,
      uptime_s: Math.floor((performance.now() - this.#startedAt) / 1000),
      processes: this.#processes.map((managed) => managed.status()),
      endpoints: withoutPasswords(this.#endpoints()),
      config: withoutPasswords(config),
      demo,
      claude_credentials: demo ? {} : claudeCredentials(env, config),
    };
  }

  async #start(progress: (text: string) => void): Promise<void> {
    if (this.#aborted.signal.aborted) throw new ClusterError('interrupted', 'The start was interrupted.');
    const failed = new Promise<never>((_, reject) => {
      this.#failStart = reject;
    });
    // The rejection may come after the race below has ended.
    failed.catch(() => undefined);
    const deadline = AbortSignal.timeout(READY_WITHIN_MS);
    await Promise.race([this.#startAll(AbortSignal.any([deadline, this.#aborted.signal]), progress), failed]);
    this.#failStart = undefined;
    this.#state = 'ready';
    this.#watching = this.#watchBroker();
    this.#record();
    this.#log.info('ready');
  }

  async #startAll(signal: AbortSignal, progress: (text: string) => void): Promise<void> {
    const plan = this.#plan;
    await this.#startBroker(signal, progress);
    const standin = standinSpec(plan);
    if (standin !== undefined) this.#run(standin);
    const { KSI_APIS: apis, KSI_WORKERS: workers } = plan.config;
    progress(`starting ${count(apis, 'API')} and ${count(workers, 'worker')}`);
    const started = range(1, apis).map((n) => this.#run(apiSpec(plan, n)));
    for (const n of range(1, workers)) await this.#runWorker(n);
    for (const [index, api] of started.entries()) {
      progress(`waiting for ${this.#endpoints().apis[index]?.url ?? ''}/readyz`);
      await this.#untilApiReady(api, signal, progress);
    }
    await this.#startBridge(signal, progress);
  }

  /** Starts all servers at once, because none is ready before a majority has elected a leader. */
  async #startBroker(signal: AbortSignal, progress: (text: string) => void): Promise<void> {
    const specs = brokerSpecs(this.#plan);
    if (specs.length === 0) return;
    for (const [index, { port }] of (this.#plan.broker?.servers ?? []).entries()) {
      const wanted = this.#plan.config.KSI_NATS_PORT + index;
      if (port !== wanted) progress(`port ${wanted} is taken: ${serverName(index)} uses ${port} (KSI_NATS_PORT)`);
    }
    progress(`starting nats-server on ${specs.map(({ address = '' }) => address).join(', ')}`);
    const started = specs.map((spec) => this.#run(spec));
    const monitors = (this.#plan.broker?.servers ?? []).map(monitorUrl);
    for (const [index, managed] of started.entries())
      await this.#untilReady(managed, `${monitors[index] ?? ''}/healthz`, signal, progress);
  }

  #watchBroker(): Promise<void> {
    const servers = this.#plan.broker?.servers ?? [];
    const watched = servers.flatMap((server, index) => {
      const managed = this.#processes.find(({ spec }) => spec.name === serverName(index));
      const store = this.#plan.paths.natsStore(servers.length === 1 ? undefined : index + 1);
      if (managed === undefined) return [];
      return [{ name: serverName(index), monitor: monitorUrl(server), store, restart: () => managed.restart() }];
    });
    return watchBroker(watched, this.#log, this.#aborted.signal);
  }

  async #restart(env: Plan['env'], progress: (text: string) => void): Promise<void> {
    if (this.#state !== 'ready')
      throw new ClusterError('not_ready', 'Cannot restart the processes before the cluster is ready. Try again.');
    const { KSI_DRAIN_S: drainS } = this.#plan.config;
    this.#plan = changedPlan(this.#plan, env);
    const present = new Set(this.#processes);
    if ((env['KSI_WORKERS'] ?? '') !== '') await this.#scale(this.#plan.config.KSI_WORKERS, progress);
    const restarting = this.#processes.flatMap((managed) => {
      const spec = specAgain(this.#plan, managed.spec);
      const runsAsBefore = present.has(managed) && managed.status().state !== 'stopped';
      return spec === undefined || !runsAsBefore ? [] : [{ managed, spec }];
    });
    for (const [index, { managed, spec }] of restarting.entries()) {
      const drain = spec.role === 'worker' ? drainNote(drainS) : '';
      progress(`restarting ${spec.name} (${index + 1} of ${restarting.length})${drain}`);
      const restarted = managed.restart(this.#completed(spec));
      await (spec.role === 'worker' ? this.#drained([managed], restarted, progress, drainS) : restarted);
      const signal = AbortSignal.any([AbortSignal.timeout(READY_WITHIN_MS), this.#aborted.signal]);
      if (spec.role === 'api') await this.#untilApiReady(managed, signal, progress);
      if (spec.role === 'bridge') await this.#untilBridge(managed, signal);
      if (this.#aborted.signal.aborted) throw new ClusterError('interrupted', 'The restart was interrupted.');
    }
    this.#record();
  }

  async #restartBridge(progress: (text: string) => void): Promise<void> {
    const ended = this.#processes.find(({ spec }) => spec.role === 'bridge');
    if (this.#state !== 'ready' || ended?.status().state !== 'stopped') return;
    this.#processes.splice(this.#processes.indexOf(ended), 1);
    await this.#startBridge(AbortSignal.any([AbortSignal.timeout(READY_WITHIN_MS), this.#aborted.signal]), progress);
    this.#record();
  }

  async #startBridge(signal: AbortSignal, progress: (text: string) => void): Promise<void> {
    const spec = bridgeSpec(this.#plan);
    if (spec === undefined) return;
    const bridge = this.#run(spec);
    const { address = '' } = spec;
    progress(`waiting for the bridge at ${address}`);
    await this.#untilBridge(bridge, signal);
  }

  async #untilBridge(bridge: ManagedProcess, signal: AbortSignal): Promise<void> {
    const { address = '' } = bridge.spec;
    if (await untilListening(address, signal)) return;
    if (this.#aborted.signal.aborted) throw new ClusterError('interrupted', 'The start was interrupted.');
    throw new ClusterError('not_ready', `The bridge does not listen at ${address}.\n${await logOf(bridge)}`);
  }

  #untilApiReady(api: ManagedProcess, signal: AbortSignal, progress: (text: string) => void): Promise<void> {
    const url = this.#endpoints().apis.find(({ name }) => name === api.spec.name)?.url ?? '';
    return this.#untilReady(api, `${url}/readyz`, signal, progress);
  }

  async #untilReady(
    managed: ManagedProcess,
    url: string,
    signal: AbortSignal,
    progress: (text: string) => void,
  ): Promise<void> {
    const { ready, full, said } = await untilReady(url, signal);
    if (full) progress(`${managed.spec.name} runs, but takes no tasks yet: ${said}`);
    if (ready) return;
    if (this.#aborted.signal.aborted) throw new ClusterError('interrupted', 'The start was interrupted.');
    const what = `${managed.spec.name} was not ready within ${READY_WITHIN_MS / 1000} s. The last answer of ${url}: ${said}`;
    throw new ClusterError('not_ready', `${what}\n${await logOf(managed)}`);
  }

  async #runWorker(n: number): Promise<void> {
    if (this.#plan.broker !== undefined) await ensureWorkerSeed(this.#plan.paths, `worker-${n}`);
    if (!this.#aborted.signal.aborted) this.#run(workerSpec(this.#plan, n));
  }

  #run(spec: ProcessSpec): ManagedProcess {
    const managed = new ManagedProcess({
      spec: this.#completed(spec),
      logFile: this.#plan.paths.log(spec.name),
      log: this.#log,
      longestPauseMs: () => this.#longestPauseMs(),
      onChange: () => this.#onChange(managed),
    });
    this.#processes.push(managed);
    managed.start();
    return managed;
  }

  #completed(spec: ProcessSpec): ProcessSpec {
    const own = { ...membership(this.#folderId, spec.name), KSI_LOG_FILE: this.#plan.paths.log(spec.name) };
    return { ...spec, env: { ...spec.env, ...own } };
  }

  /** Processes that ended because of a full disk restart soon after there is space. */
  #longestPauseMs(): number {
    const longest = this.#plan.config.KSI_RESTART_MAX_S * 1_000;
    return this.#disk.full() === undefined ? longest : Math.min(longest, FULL_DISK_PAUSE_MS);
  }

  #onChange(managed: ManagedProcess): void {
    this.#record();
    const fail = this.#failStart;
    if (fail === undefined || managed.restarts < ENDS_BEFORE_GIVING_UP) return;
    this.#failStart = undefined;
    void logOf(managed).then((log) =>
      fail(
        new ClusterError('process_failed', `${managed.spec.name} does not stay up: ${managed.lastEnd ?? ''}.\n${log}`),
      ),
    );
  }

  async #stop(progress: (text: string) => void): Promise<void> {
    this.#state = 'stopping';
    this.#aborted.abort();
    this.#failStart = undefined;
    await this.#watching;
    for (const role of STOP_ORDER) {
      const ending = this.#processes.filter((managed) => managed.spec.role === role);
      if (ending.length === 0) continue;
      const names = ending.map(({ spec }) => spec.name).join(', ');
      progress(`stopping ${names}${role === 'worker' ? drainNote(this.#plan.config.KSI_DRAIN_S) : ''}`);
      const stopped = Promise.all(ending.map((managed) => managed.stop()));
      await (role === 'worker' ? this.#drained(ending, stopped, progress) : stopped);
    }
    this.#record();
    await rm(this.#plan.paths.endpoints, { force: true });
    this.#state = 'stopped';
  }

  async #scale(workers: number, progress: (text: string) => void): Promise<void> {
    if (this.#state !== 'ready')
      throw new ClusterError(
        'not_ready',
        'Cannot change the number of workers before the cluster is ready. Try again.',
      );
    const present = this.#processes.filter(({ spec }) => spec.role === 'worker');
    const numbers = new Set(present.map(({ spec }) => spec.name));
    for (const n of range(1, workers)) {
      if (numbers.has(`worker-${n}`)) continue;
      progress(`starting worker-${n}`);
      await this.#runWorker(n);
    }
    const kept = new Set(range(1, workers).map((n) => `worker-${n}`));
    const surplus = present.filter(({ spec }) => !kept.has(spec.name));
    for (const { spec } of surplus) progress(`stopping ${spec.name}${drainNote(this.#plan.config.KSI_DRAIN_S)}`);
    await this.#drained(surplus, Promise.all(surplus.map((managed) => managed.stop())), progress);
    for (const managed of surplus) this.#processes.splice(this.#processes.indexOf(managed), 1);
    this.#record();
  }

  /** Waits until `workers` have stopped, and tells what they wait for. */
  #drained(
    workers: readonly ManagedProcess[],
    stopped: Promise<unknown>,
    progress: (text: string) => void,
    drainS = this.#plan.config.KSI_DRAIN_S,
  ): Promise<void> {
    const { url, token_file } = this.#endpoints();
    const pids = workers.flatMap(({ identity }) => identity?.pid ?? []);
    return untilDrained(stopped, { pids, url, token_file, drainS }, progress);
  }

  #record(): void {
    try {
      recordProcesses(this.#plan.paths, this.#running());
      if (this.#state === 'ready') writeJson(this.#plan.paths.endpoints, this.#endpoints());
    } catch (error) {
      // A full disk must not end the supervisor.
      this.#log.error({ err: error, retry_ms: RECORD_AGAIN_MS }, 'could not record the running processes; retrying');
      if (this.#recording !== undefined) return;
      this.#recording = setTimeout(() => {
        this.#recording = undefined;
        if (this.#state !== 'stopped') this.#record();
      }, RECORD_AGAIN_MS).unref();
    }
  }

  #endpoints(): Endpoints {
    return endpointsOf(this.#plan, this.#folderId, this.#running());
  }

  #running(): RecordedProcess[] {
    return this.#processes.flatMap(({ spec: { name }, identity }) =>
      identity === undefined ? [] : [{ ...identity, name }],
    );
  }
}

/** As people may see it: `ksi status` and `ksi up` print it. */
const withoutPasswords = <T>(value: T): T => JSON.parse(withoutPassword(JSON.stringify(value))) as T;

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

const drainNote = (seconds: number): string => `; running tasks may finish for up to ${seconds} s`;

/** The end of the process's log, for an error message. */
async function logOf(managed: ManagedProcess): Promise<string> {
  const end = withoutStacks(await endOfFile(managed.logFile, LOG_LINES_SHOWN));
  return end === '' ? `Its log, ${managed.logFile}, is empty.` : `The end of its log, ${managed.logFile}:\n${end}`;
}
