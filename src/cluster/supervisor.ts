import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { DiskSpace, dataFolders } from '../process/disk-space.js';
import { signal } from '../process/terminate.js';
import { endOfFile } from '../process/file-end.js';
import { folderId } from '../process/folder-id.js';
import { brokerSpecs, monitorUrl, serverName } from './broker.js';
import { watchBroker } from './broker-watch.js';
import { apiUrls, writeJson, type Endpoints } from './endpoints.js';
import { ClusterError } from './errors.js';
import { membership, recordProcesses, type RecordedProcess } from './leftovers.js';
import { ManagedProcess, type ProcessStatus } from './managed-process.js';
import {
  apiPort,
  apiSpec,
  bridgeSpec,
  standinSpec,
  workerSpec,
  type Plan,
  type ProcessSpec,
  type Role,
} from './plan.js';
import { endpointsOf } from './plan-endpoints.js';
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
  readonly #plan: Plan;
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

  /** Makes each nats-server reopen its log file. KSI's own processes notice by themselves that theirs was renamed. */
  reopenBrokerLogs(): void {
    for (const { spec, identity } of this.#processes)
      if (spec.role === 'broker' && identity !== undefined) signal(identity.pid, 'SIGUSR1');
  }

  status(): ClusterStatus {
    return {
      state: this.#state,
      pid: process.pid,
      uptime_s: Math.floor((performance.now() - this.#startedAt) / 1000),
      processes: this.#processes.map((managed) => managed.status()),
      endpoints: this.#endpoints(),
      config: this.#plan.config,
      demo: this.#plan.standinPort !== undefined,
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
      const { url } = apiUrls(plan.config.KSI_HOST, apiPort(plan, index + 1), plan.config.KSI_TLS_CERT !== undefined);
      progress(`waiting for ${url}/readyz`);
      await this.#untilReady(api, `${url}/readyz`, signal, progress);
    }
    await this.#startBridge(signal, progress);
  }

  /** Starts all servers at once, because none is ready before a majority has elected a leader. */
  async #startBroker(signal: AbortSignal, progress: (text: string) => void): Promise<void> {
    const specs = brokerSpecs(this.#plan);
    if (specs.length === 0) return;
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
    if (await untilListening(address, signal)) return;
    if (this.#aborted.signal.aborted) throw new ClusterError('interrupted', 'The start was interrupted.');
    throw new ClusterError('not_ready', `The bridge does not listen at ${address}.\n${await logOf(bridge)}`);
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
      spec: {
        ...spec,
        env: { ...spec.env, ...membership(this.#folderId, spec.name), KSI_LOG_FILE: this.#plan.paths.log(spec.name) },
      },
      logFile: this.#plan.paths.log(spec.name),
      log: this.#log,
      longestPauseMs: () => this.#longestPauseMs(),
      onChange: () => this.#onChange(managed),
    });
    this.#processes.push(managed);
    managed.start();
    return managed;
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
      progress(`stopping ${names}${role === 'worker' ? this.#drainNote() : ''}`);
      await Promise.all(ending.map((managed) => managed.stop()));
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
    for (const { spec } of surplus) progress(`stopping ${spec.name}${this.#drainNote()}`);
    await Promise.all(surplus.map((managed) => managed.stop()));
    for (const managed of surplus) this.#processes.splice(this.#processes.indexOf(managed), 1);
    this.#record();
  }

  #drainNote(): string {
    return `; running tasks may finish for up to ${this.#plan.config.KSI_DRAIN_S} s`;
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

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** The end of the process's log, for an error message. */
async function logOf(managed: ManagedProcess): Promise<string> {
  const end = await endOfFile(managed.logFile, LOG_LINES_SHOWN);
  return end === '' ? `Its log, ${managed.logFile}, is empty.` : `The end of its log, ${managed.logFile}:\n${end}`;
}
