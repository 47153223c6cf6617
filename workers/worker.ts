import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../contracts/config/config.js';
import type { EventData, StoredEvent } from '../contracts/events/events.js';
import { FORMAT_VERSION, STREAM, SUBJECT } from '../contracts/wire/names.js';
import type { WorkerPresence } from '../contracts/tasks/workers.js';
import { Blobs } from '../src/broker/blobs.js';
import type { Broker } from '../src/broker/connect.js';
import { isBrokerError } from '../src/broker/errors.js';
import { eventPublication, newEvent } from '../src/broker/events.js';
import { listOf } from '../src/config/load.js';
import { mcpServersFile } from '../src/tools/mcp-servers.js';
import { DiskRoom } from '../src/process/disk-room.js';
import { toolPolicyFile } from '../src/tools/policy-file.js';
import { Workspaces, writersIn } from '../src/workspaces/roots.js';
import { LONGEST_NAK_MS } from './attempt/pause.js';
import { refuseRun } from './attempt/refuse.js';
import { runTask, type TaskEnd } from './attempt/run-task.js';
import { Stopped } from './attempt/stop.js';
import { NO_LIMITS } from './claude/tools.js';
import { whileUnavailable } from '../src/broker/certain.js';
import { claudeEnvironment } from './claude/environment.js';
import type { Containment } from './claude/containment.js';
import { DeletedSessions } from './disk/deleted-sessions.js';
import { Folders } from './claude/folders.js';
import { Keeper, workerMarker } from './claude/keeper.js';
import { MemoryWatch } from './claude/memory.js';
import { queryOptions } from './claude/query-options.js';
import { ModelPrices } from './claude/model-prices.js';
import { runClaude } from './claude/run.js';
import { WarmPool } from './claude/warm-pool.js';
import { Worktrees } from './claude/worktrees.js';
import type { WorkerContext } from './attempt/context.js';
import { reap } from './guard/reap.js';
import { inheritJournal } from './journal/inherit.js';
import { Journal } from './journal/journal.js';
import { Lanes } from './queue/lanes.js';
import { placesFor, Slots } from './queue/slots.js';
import { Quarantine } from './queue/quarantine.js';
import { Presence } from './presence.js';
import { Removals } from './disk/removals.js';
import { Shortages } from './queue/shortages.js';
import { UsageLimit } from './queue/usage-limit.js';
import { WorkspaceRetention } from './disk/workspace-retention.js';
import { timestampOf } from '../src/clock.js';

export interface WorkerOptions {
  readonly broker: Broker;
  readonly config: Config;
  /** The worker's environment: what Claude sees of it is chosen by claude/environment.ts. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly containment: Containment;
  /** A run that waits longer for its next attempt is parked. Default 55 s; tests have no time for that. */
  readonly longestNakMs?: number;
  /** Called once, when it has run KSI_WORKER_MAX_TASKS attempts and is to be replaced. */
  readonly onWornOut?: () => void;
  /** Called with the end of each task that was delivered here. */
  readonly onTaskEnd?: (end: TaskEnd) => void;
}

/** `0` stands for no limit. */
const megabytes = (n: number): number => (n === 0 ? Infinity : n * 1_048_576);

/** Of what could not be removed: a presence entry is a message. */
const MOST_SHOWN = 20;

/** How long a broker that is away is waited for with what a stopping worker has to say. */
const FAREWELL_MS = 1_500;
/** For how long a run is put off when this host's disk is full; another host may have room. */
const FULL_DISK_MS = 2_000;

/** Files of the operator that hold keys, wherever they are. */
const secretFiles = (config: Config): string[] =>
  [
    config.KSI_NATS_CREDENTIALS,
    config.KSI_NATS_ENCRYPTION_KEY_FILE,
    config.KSI_NATS_TLS_KEY,
    config.KSI_TLS_KEY,
    config.KSI_TOKEN_FILE,
    config.KSI_BRIDGE_TOKEN_FILE,
    config.KSI_MCP_SERVERS,
  ].flatMap((file) => (file === undefined ? [] : resolve(file)));

/** Takes tasks from the broker and runs Claude. `stop` is the slow way and `stop({quick: true})` the fast one; both give back what is not finished. */
export class Worker {
  readonly id = `w_${randomBytes(6).toString('hex')}`;
  /** Below which it is asked and seen at the broker: the name that outlives a restart, if it has one. */
  readonly process: string;
  readonly slots: number;
  readonly #slots: Slots;
  readonly #options: WorkerOptions;
  readonly #folders: Folders;
  readonly #keeper: Keeper;
  readonly #journal: Journal;
  readonly #disk: DiskRoom;
  readonly #blobs: Blobs;
  readonly #lanes: Lanes;
  readonly #shutdown = new AbortController();
  readonly #quick = new AbortController();
  /** Aborts when its last word is due. */
  readonly #offline = new AbortController();
  #online: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();
  #started: Promise<void> | undefined;
  readonly #presence: Presence;
  readonly #deleted: DeletedSessions;
  readonly #retention: WorkspaceRetention;
  readonly #removals: Removals;
  readonly #shortages: Shortages;
  readonly #limit: UsageLimit;
  readonly #warm: WarmPool;
  readonly #facts: EventData<'WORKER_ONLINE'> & Pick<WorkerPresence, 'containment'>;
  /** Empty until the broker's time is known: before, it has told nobody of itself. */
  #startedAt = '';
  #attempts = 0;
  #stopped: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    const { broker, config, env, log } = options;
    this.#options = options;
    this.process = config.KSI_PROCESS ?? this.id;
    this.slots = config.KSI_CONCURRENCY;
    this.#slots = new Slots(this.slots);
    this.#folders = new Folders(config.KSI_DIR, this.id, env['CLAUDE_CONFIG_DIR']);
    this.#blobs = new Blobs(broker);
    this.#journal = new Journal(this.#folders.own);
    this.#disk = new DiskRoom([config.KSI_DIR]);
    this.#keeper = new Keeper(
      options.containment,
      this.id,
      { ksiDir: this.#folders.base, hidden: secretFiles(config) },
      log,
    );
    this.#facts = {
      worker_id: this.id,
      host: hostname(),
      pid: process.pid,
      concurrency: this.slots,
      queues: listOf(config.KSI_QUEUES),
      containment: this.#keeper.kind,
    };
    const presence = (): WorkerPresence => ({
      v: FORMAT_VERSION,
      ...this.#facts,
      running: this.running,
      ...(this.#limit.until === undefined ? {} : { limited_until: new Date(this.#limit.until).toISOString() }),
      ...this.#leftOver(),
      ...(this.#shortages.current === undefined ? {} : { short_of: this.#shortages.current }),
      started_at: this.#startedAt,
      clock_ahead_ms: broker.clock.ahead(),
      state: this.#stopped === undefined ? 'working' : 'draining',
    });
    this.#retention = new WorkspaceRetention({ broker, folders: this.#folders, config, log });
    this.#presence = new Presence({ broker, process: this.process, now: presence, log });
    this.#removals = new Removals(broker.clock, log, () => this.#presence.say());
    const onChange = (): void => this.#presence.say();
    this.#shortages = new Shortages({ clock: broker.clock, slots: this.#slots, onChange, log });
    const worktrees = new Worktrees(this.#folders.base, log);
    const ofSessions = { broker, process: this.process, folders: this.#folders, worktrees };
    this.#deleted = new DeletedSessions({ ...ofSessions, removals: this.#removals, log });
    const environment = claudeEnvironment(env, listOf(config.KSI_CLAUDE_ENV), config.KSI_MCP_TIMEOUT_S);
    this.#limit = new UsageLimit({
      broker,
      workerId: this.id,
      env: environment.env,
      slots: this.#slots,
      onEnd: () => this.#presence.say(),
      random: Math.random,
      log,
    });
    let places = placesFor(this.slots);
    this.#warm = new WarmPool({
      count: config.KSI_WARM,
      options: queryOptions({ asked: {}, defaultModel: config.KSI_MODEL, tools: NO_LIMITS, mcpConfig: undefined }),
      env: environment.env,
      executable: config.KSI_CLAUDE_BIN,
      keeper: this.#keeper,
      place: async () => {
        const index = places++;
        const clear = async (): Promise<void> => {
          await this.#removals.remove({ path: `warm ${index}` }, () => this.#folders.clear(index));
        };
        return { folders: await this.#folders.slot(index), clear };
      },
      log,
    });
    const context: WorkerContext = {
      broker,
      blobs: this.#blobs,
      folders: this.#folders,
      log: log.child({ worker_id: this.id }),
      workerId: this.id,
      process: this.process,
      host: hostname(),
      leaseMs: config.KSI_LEASE_S * 1_000,
      longestNakMs: options.longestNakMs ?? LONGEST_NAK_MS,
      retentionMs: config.KSI_EVENTS_MAX_AGE_S * 1_000,
      model: config.KSI_MODEL,
      executable: config.KSI_CLAUDE_BIN,
      keeper: this.#keeper,
      workspaces: new Workspaces(config.KSI_WORKSPACES),
      worktrees,
      writersIn: writersIn(config.KSI_WORKSPACE_WRITERS),
      toolPolicy: toolPolicyFile(config.KSI_TOOL_POLICY, log),
      mcpServers: mcpServersFile(config.KSI_MCP_SERVERS, log),
      limits: { memoryBytes: megabytes(config.KSI_TASK_MEMORY_MB), outputBytes: megabytes(config.KSI_TASK_OUTPUT_MB) },
      memory: new MemoryWatch(log),
      runClaude,
      prices: new ModelPrices(),
      warm: this.#warm,
      random: Math.random,
      journal: this.#journal,
      quarantine: new Quarantine(this.#slots),
      shortages: this.#shortages,
      lend: (slot) => this.#slots.lend(slot),
      sessionFolder: (sessionId, signal) => this.#deleted.workspace(sessionId, signal),
      clear: async (slot) => {
        const onLeft = (): (() => void) => this.#slots.retire(slot);
        await this.#removals.remove({ slot }, () => this.#folders.clear(slot), { onLeft });
      },
      environment,
      onUsageLimit: (resetsAt) => {
        if (config.KSI_USAGE_LIMIT === 'fleet') void this.#limit.reached(resetsAt).then(() => this.#presence.say());
      },
      shutdown: this.#shutdown.signal,
    };
    this.#lanes = new Lanes({
      broker,
      queues: listOf(config.KSI_QUEUES),
      slots: this.#slots,
      inboxPrefix: config.KSI_NATS_INBOX,
      run: async (delivery, slot) => {
        if (this.#disk.full() !== undefined) return refuseRun(delivery, context, FULL_DISK_MS);
        const end = await runTask(delivery, slot, context);
        options.onTaskEnd?.(end);
        this.#count(end);
      },
      refuse: (delivery, ms) => refuseRun(delivery, context, ms),
      log: context.log,
    });
  }

  /** A folder of its own for temporary files, once it has started; removed with it, or by the next one on its host. */
  get temporary(): string {
    return this.#folders.temporary;
  }

  /** Processes of Claude that wait for tasks of new sessions. */
  get warm(): number {
    return this.#warm.waiting;
  }

  /** Tasks that it runs now. */
  get running(): number {
    return this.#slots.running;
  }

  /** Slots that take no runs, as what their last run left could not be removed. */
  get outOfService(): number {
    return this.#slots.retired;
  }

  /** What the host is short of now. */
  get shortOf(): string | undefined {
    return this.#shortages.current;
  }

  /** Attempts that a shortage of the host has ended. */
  get shortages(): number {
    return this.#shortages.count;
  }

  /** Files and folders that could not be removed, or the first of them. */
  get left(): number {
    return this.#removals.left.length;
  }

  /** It takes tasks. */
  get ready(): boolean {
    return this.#stopped === undefined && this.#options.broker.connected() && this.#lanes.answered;
  }

  /** Resolves when it takes tasks, or is stopped before. A start that fails stops what it started. */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async #start(): Promise<void> {
    const { broker, log } = this.#options;
    log.info({ containment: this.#keeper.kind }, 'what keeps processes from outliving this worker');
    this.#keeper.start();
    try {
      await broker.clock.known(this.#stopping.signal);
      this.#startedAt = timestampOf(broker.clock);
      await this.#folders.start();
      await this.#inherit();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      await this.#keeper.stop();
      throw error;
    }
    if (this.#stopping.signal.aborted) return;
    this.#deleted.start();
    this.#retention.start();
    if (this.#options.config.KSI_USAGE_LIMIT === 'fleet') await this.#limit.start();
    this.#warm.start();
    this.#lanes.start();
    this.#presence.start();
    const online = newEvent(this.#options.broker.clock, 'WORKER_ONLINE', this.#facts);
    // At the first start of a cluster the stream is made while the workers wait for it.
    this.#online = this.#announce(online, 'online', this.#offline.signal);
  }

  /**
   * Takes nothing more, lets the running tasks finish for KSI_DRAIN_S, then ends them and gives them back.
   * @param options.quick doesn't let them finish; also when a slow stop is under way. Idempotent.
   */
  stop(options: { quick?: boolean } = {}): Promise<void> {
    if (options.quick === true) this.#quick.abort();
    this.#stopping.abort(new Stopped('shutdown'));
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    // One that failed has told whoever started it.
    await this.#started?.catch(() => undefined);
    await this.#lanes.stop();
    const cooled = this.#warm.stop();
    const told = this.#startedAt !== '';
    if (told) this.#presence.say();
    if (this.running > 0)
      await this.#announce(
        newEvent(this.#options.broker.clock, 'WORKER_DRAINING', { worker_id: this.id, running: this.running }),
        'draining',
        AbortSignal.timeout(FAREWELL_MS),
      );
    const giveBack = (): void => this.#shutdown.abort(new Stopped('shutdown'));
    const timeUp = setTimeout(giveBack, this.#options.config.KSI_DRAIN_S * 1_000);
    this.#quick.signal.addEventListener('abort', giveBack);
    if (this.#quick.signal.aborted) giveBack();
    await this.#lanes.idle();
    clearTimeout(timeUp);
    await cooled;
    await this.#keeper.stop();
    if (told) await this.#presence.stop();
    await this.#deleted.stop();
    await this.#retention.stop();
    await this.#removals.stop();
    this.#shortages.stop();
    this.#limit.stop();
    this.#offline.abort();
    await this.#online;
    if (told)
      await this.#announce(
        newEvent(this.#options.broker.clock, 'WORKER_OFFLINE', { worker_id: this.id }),
        'offline',
        AbortSignal.timeout(FAREWELL_MS),
      );
    await this.#journal.close();
    const left = await this.#folders.stop();
    if (left.length > 0)
      this.#options.log.error({ left }, "the worker's folder is not removed; the next worker on this host tries again");
  }

  #leftOver(): Pick<WorkerPresence, 'out_of_service' | 'left'> {
    const { left } = this.#removals;
    return {
      ...(this.outOfService === 0 ? {} : { out_of_service: this.outOfService }),
      ...(left.length === 0 ? {} : { left: left.slice(0, MOST_SHOWN) }),
    };
  }

  #count(end: TaskEnd): void {
    // Nothing ran for these.
    if (end === 'ended' || end === 'lost' || end === 'given_back') return;
    this.#attempts += 1;
    const { config, log, onWornOut } = this.#options;
    if (this.#attempts !== config.KSI_WORKER_MAX_TASKS) return;
    log.info({ attempts: this.#attempts }, 'as many attempts as this worker is to make; it makes room for another');
    onWornOut?.();
  }

  /** What workers of this host that died left: their processes, their tasks and what those had still to say. */
  async #inherit(): Promise<void> {
    const { broker, config, log } = this.#options;
    const stopping = this.#stopping.signal;
    const signal = AbortSignal.any([AbortSignal.timeout(config.KSI_LEASE_S * 1_000), stopping]);
    const options = { broker, blobs: this.#blobs, workerId: this.id, log, signal };
    await this.#folders.inherit(async (deadId, folder) => {
      await reap({ groups: [], marker: workerMarker(deadId) });
      await inheritJournal(folder, deadId, { ...options, stopping });
    });
  }

  /** Tells what the worker does. Nothing depends on it, so a broker that can't take it, until `signal` aborts, is only logged. */
  async #announce(event: StoredEvent, token: string, signal: AbortSignal): Promise<void> {
    const { broker, log } = this.#options;
    const publication = eventPublication(event, SUBJECT.workerEvent(this.id, token));
    try {
      await whileUnavailable(broker, signal, () => broker.publisher.publish(publication));
    } catch (error) {
      if (!isBrokerError(error) && !signal.aborted) throw error;
      log.warn({ err: error, type: event.type }, `${STREAM.events} did not take the worker's event`);
    }
  }
}
