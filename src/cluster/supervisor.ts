import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { DiskRoom, dataFolders } from '../process/disk-room.js';
import { signal } from '../process/end.js';
import { endOfFile } from '../process/file-end.js';
import { folderId } from '../process/folder-id.js';
import { brokerSpecs, hasTls, monitorUrl, natsUrl, serverName, serverUrl } from './broker.js';
import { watchBroker } from './broker-watch.js';
import { apiUrls, writeJson, type Endpoints } from './endpoints.js';
import { ClusterError } from './errors.js';
import { membership, recordProcesses, type RecordedProcess } from './leftovers.js';
import { ManagedProcess, type ProcessStatus } from './managed-process.js';
import { apiPort, apiSpec, bridgeSpec, standinSpec, workerSpec, type Plan, type ProcessSpec } from './plan.js';
import { untilListening, untilReady } from './readiness.js';
import { agentsOf, ensureWorkerSeed, inboxPrefix, NATS_USERS } from './secrets.js';

export interface ClusterStatus {
  readonly state: 'starting' | 'ready' | 'stopping' | 'stopped';
  readonly pid: number;
  readonly uptime_s: number;
  readonly processes: readonly ProcessStatus[];
  readonly endpoints: Endpoints;
  /** What it was started with. */
  readonly config: Config;
  readonly demo: boolean;
}

/** How long the cluster may take to answer `/readyz`. */
const READY_WITHIN_MS = 60_000;
/** A process that ends so often before the cluster is ready will not get there. */
const ENDS_BEFORE_GIVING_UP = 2;
const LOG_LINES_SHOWN = 12;
const RECORD_AGAIN_MS = 2_000;
/** The longest before a process that ended on a full disk is started again. */
const FULL_DISK_PAUSE_MS = 4_000;

/** Runs the processes of one cluster: broker, stand-in, APIs, workers, the bridge. */
export class Supervisor {
  readonly #plan: Plan;
  /** The id of the cluster's folder. */
  readonly #folder: string;
  readonly #log: Logger;
  readonly #disk: DiskRoom;
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
    this.#folder = folderId(plan.paths.dir);
    this.#log = log;
    this.#disk = new DiskRoom(dataFolders(plan.paths.dir));
  }

  /**
   * Starts everything and resolves when every API is ready. A failed start stops what it started.
   * @throws {ClusterError} that names the process and shows the end of its log.
   */
  start(progress: (text: string) => void): Promise<void> {
    this.#started ??= this.#start(progress).catch(async (error: unknown) => {
      await this.stop(() => undefined);
      throw error;
    });
    return this.#started;
  }

  /** Workers first, which let their runs finish; then the APIs; the broker last. Idempotent. */
  stop(progress: (text: string) => void): Promise<void> {
    this.#stopped ??= this.#stop(progress);
    return this.#stopped;
  }

  /** Starts or stops workers until `count` run. */
  scale(count: number, progress: (text: string) => void): Promise<void> {
    this.#scaling = this.#scaling.then(() => this.#scale(count, progress));
    return this.#scaling;
  }

  /** Starts the bridge again that a client has shut down; one that runs is left alone. @throws {ClusterError} */
  bridge(progress: (text: string) => void): Promise<void> {
    this.#scaling = this.#scaling.then(() => this.#restartBridge(progress));
    return this.#scaling;
  }

  /** nats-server opens its log file again at SIGUSR1. KSI's own processes notice by themselves that theirs was renamed. */
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
    // Not only the race below may look at it.
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
      await this.#untilReady(api, `${url}/readyz`, signal);
    }
    await this.#startBridge(signal, progress);
  }

  /** All servers at once: one of a cluster is ready only when most of them are there and have elected a leader. */
  async #startBroker(signal: AbortSignal, progress: (text: string) => void): Promise<void> {
    const specs = brokerSpecs(this.#plan);
    if (specs.length === 0) return;
    progress(`starting nats-server on ${specs.map(({ address = '' }) => address).join(', ')}`);
    const started = specs.map((spec) => this.#run(spec));
    const monitors = (this.#plan.broker?.servers ?? []).map(monitorUrl);
    for (const [index, managed] of started.entries())
      await this.#untilReady(managed, `${monitors[index] ?? ''}/healthz`, signal);
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

  async #untilReady(managed: ManagedProcess, url: string, signal: AbortSignal): Promise<void> {
    const { ready, said } = await untilReady(url, signal);
    if (ready) return;
    if (this.#aborted.signal.aborted) throw new ClusterError('interrupted', 'The start was interrupted.');
    const what = `${managed.spec.name} was not ready within ${READY_WITHIN_MS / 1000} s; ${url} said last: ${said}`;
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
        env: { ...spec.env, ...membership(this.#folder, spec.name), KSI_LOG_FILE: this.#plan.paths.log(spec.name) },
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

  /** What ends because its disk is full goes on soon after there is room. */
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
    const stopAll = async (role: ProcessSpec['role'], what: (names: string) => string): Promise<void> => {
      const ending = this.#processes.filter((managed) => managed.spec.role === role);
      if (ending.length === 0) return;
      progress(what(ending.map(({ spec }) => spec.name).join(', ')));
      await Promise.all(ending.map((managed) => managed.stop()));
    };
    // A client of the others.
    await stopAll('bridge', (names) => `stopping ${names}`);
    const drain = this.#plan.config.KSI_DRAIN_S;
    await stopAll('worker', (names) => `stopping ${names}; running tasks may finish for up to ${drain} s`);
    await stopAll('api', (names) => `stopping ${names}`);
    await stopAll('standin', (names) => `stopping ${names}`);
    await stopAll('broker', (names) => `stopping ${names}`);
    this.#record();
    // What it names is no more.
    await rm(this.#plan.paths.endpoints, { force: true });
    this.#state = 'stopped';
  }

  async #scale(workers: number, progress: (text: string) => void): Promise<void> {
    if (this.#state !== 'ready')
      throw new ClusterError('not_ready', 'The cluster is not ready to be scaled; try again.');
    const present = this.#processes.filter(({ spec }) => spec.role === 'worker');
    const numbers = new Set(present.map(({ spec }) => spec.name));
    for (const n of range(1, workers)) {
      if (numbers.has(`worker-${n}`)) continue;
      progress(`starting worker-${n}`);
      await this.#runWorker(n);
    }
    const kept = new Set(range(1, workers).map((n) => `worker-${n}`));
    const surplus = present.filter(({ spec }) => !kept.has(spec.name));
    for (const { spec } of surplus)
      progress(`stopping ${spec.name}; its tasks may finish for up to ${this.#plan.config.KSI_DRAIN_S} s`);
    await Promise.all(surplus.map((managed) => managed.stop()));
    for (const managed of surplus) this.#processes.splice(this.#processes.indexOf(managed), 1);
    this.#record();
  }

  #record(): void {
    const recorded = this.#processes.flatMap(({ spec, identity }): RecordedProcess[] =>
      identity === undefined ? [] : [{ ...identity, name: spec.name }],
    );
    try {
      recordProcesses(this.#plan.paths, recorded);
      if (this.#state === 'ready') writeJson(this.#plan.paths.endpoints, this.#endpoints());
    } catch (error) {
      // A full disk must not end what runs.
      this.#log.error({ err: error }, 'could not record the processes; trying again');
      if (this.#recording !== undefined) return;
      this.#recording = setTimeout(() => {
        this.#recording = undefined;
        if (this.#state !== 'stopped') this.#record();
      }, RECORD_AGAIN_MS).unref();
    }
  }

  #endpoints(): Endpoints {
    const { paths, config, broker, standinPort } = this.#plan;
    const apis = range(1, config.KSI_APIS).map((n) => ({
      name: `api-${n}`,
      ...apiUrls(config.KSI_HOST, apiPort(this.#plan, n), config.KSI_TLS_CERT !== undefined),
    }));
    const first = apiUrls(config.KSI_HOST, config.KSI_PORT, config.KSI_TLS_CERT !== undefined);
    const agents = agentsOf(config).map((id) => `agent-${id}` as const);
    const users = broker === undefined ? [] : [...NATS_USERS, ...agents];
    const pids = this.#processes.flatMap(({ spec, identity }) =>
      identity === undefined ? [] : [[spec.name, identity.pid]],
    );
    return {
      dir: paths.dir,
      folder: this.#folder,
      ...first,
      apis,
      token_file: config.KSI_TOKEN_FILE ?? paths.token,
      nats: {
        url: natsUrl(this.#plan),
        servers: (broker?.servers ?? []).map((server, index) => ({
          name: serverName(index),
          url: serverUrl(server, hasTls(config)),
          monitor: monitorUrl(server),
        })),
        ...(config.KSI_NATS_TLS_CA === undefined ? {} : { ca: resolve(config.KSI_NATS_TLS_CA) }),
        credentials: Object.fromEntries(users.map((user) => [user, paths.seed(user)])),
        inboxes: Object.fromEntries(users.map((user) => [user, inboxPrefix(user)])),
      },
      ...bridgeOf(this.#plan),
      ...(standinPort === undefined ? {} : { standin: `http://127.0.0.1:${standinPort}` }),
      logs: paths.logs,
      pids: Object.fromEntries([['supervisor', process.pid], ...pids]),
    };
  }
}

function bridgeOf(plan: Plan): Pick<Endpoints, 'bridge'> {
  const address = bridgeSpec(plan)?.address;
  return address === undefined ? {} : { bridge: address };
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

async function logOf(managed: ManagedProcess): Promise<string> {
  const end = await endOfFile(managed.logFile, LOG_LINES_SHOWN);
  return end === '' ? `Its log, ${managed.logFile}, is empty.` : `The end of its log, ${managed.logFile}:\n${end}`;
}
