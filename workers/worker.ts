import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { FORMAT_VERSION } from '../contracts/wire/names.js';
import type { WorkerPresence } from '../contracts/tasks/workers.js';
import type { Delivery } from '../src/broker/consume.js';
import { timestampOf } from '../src/clock.js';
import { defined } from '../src/defined.js';
import { listOf } from '../src/config/load.js';
import { DiskRoom } from '../src/process/disk-room.js';
import { Lifecycle } from '../src/process/lifecycle.js';
import { Announcer } from './announcer.js';
import { whileUnavailable } from '../src/broker/certain.js';
import { learnLastPrices } from './claude/last-prices.js';
import type { WorkerContext } from './attempt/context.js';
import { refuseRun } from './attempt/refuse.js';
import { runTask, type TaskEnd } from './attempt/run-task.js';
import { Stopped } from './attempt/stop.js';
import { workerMarker } from './claude/keeper.js';
import { reap } from './guard/reap.js';
import { inheritJournal } from './journal/inherit.js';
import { contextOf, partsOf, type PartsOptions, type WorkerParts } from './parts.js';
import { Lanes } from './queue/lanes.js';

export interface WorkerOptions extends PartsOptions {
  /** Called once, after KSI_WORKER_MAX_TASKS attempts, when another worker should replace this one. */
  readonly onWornOut?: () => void;
  /** Called with the end of each task that was delivered here. */
  readonly onTaskEnd?: (end: TaskEnd) => void;
}

/** Left files in a presence entry, which is one message. */
const MAX_SHOWN = 20;
/** How long a run is put off when this host's disk is full; another host may have room. */
const FULL_DISK_MS = 2_000;
/** Ends of runs for which no attempt was made here. */
const NOTHING_RAN: readonly TaskEnd[] = ['ended', 'lost', 'given_back'];

/** Takes tasks from the broker and runs Claude. `stop()` lets running tasks finish; `stop({ quick: true })` gives them back at once. */
export class Worker {
  readonly id = `w_${randomBytes(6).toString('hex')}`;
  readonly #options: WorkerOptions;
  readonly #parts: WorkerParts;
  readonly #context: WorkerContext;
  readonly #lanes: Lanes;
  readonly #disk: DiskRoom;
  readonly #announcer: Announcer;
  readonly #lifecycle = new Lifecycle();
  /** Aborts when running attempts are to be given back. */
  readonly #shutdown = new AbortController();
  readonly #quick = new AbortController();
  readonly #stopping = new AbortController();
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #attempts = 0;

  constructor(options: WorkerOptions) {
    const { broker, config, log } = options;
    this.#options = options;
    this.#parts = partsOf(options, this.id);
    this.#context = contextOf(options, this.id, this.#parts, this.#shutdown.signal);
    this.#disk = new DiskRoom([config.KSI_DIR]);
    this.#announcer = new Announcer(broker, this.id, log);
    this.#lanes = new Lanes({
      broker,
      queues: listOf(config.KSI_QUEUES),
      slots: this.#parts.slots,
      inboxPrefix: config.KSI_NATS_INBOX,
      run: (delivery, slot) => this.#run(delivery, slot),
      refuse: (delivery, ms) => refuseRun(delivery, this.#context, ms),
      log: this.#context.log,
    });
  }

  /** Its name at the broker. A name that the supervisor gives outlives a restart. */
  get process(): string {
    return this.#parts.process;
  }

  /** A folder of its own for temporary files, once it has started. It is removed when the worker stops, or by the next worker of the host. */
  get temporary(): string {
    return this.#parts.folders.temporary;
  }

  /** Tasks that it may run at once. */
  get slots(): number {
    return this.#parts.slots.count;
  }

  /** Tasks that it runs now. */
  get running(): number {
    return this.#parts.slots.running;
  }

  /** Processes of Claude that wait for tasks of new sessions. */
  get warm(): number {
    return this.#parts.warm.waiting;
  }

  /** Slots that take no runs because files of their last run could not be removed. */
  get outOfService(): number {
    return this.#parts.slots.retired;
  }

  /** What the host is short of now. */
  get shortOf(): string | undefined {
    return this.#parts.shortages.current;
  }

  /** Attempts that a shortage of the host has ended. */
  get shortages(): number {
    return this.#parts.shortages.count;
  }

  /** Files and folders that could not be removed. */
  get left(): number {
    return this.#parts.removals.left.length;
  }

  /** It takes tasks. */
  get ready(): boolean {
    return this.#stopped === undefined && this.#options.broker.connected() && this.#lanes.answered;
  }

  /** Resolves when it takes tasks, or is stopped before. A failed start stops what it started. Idempotent. */
  start(): Promise<void> {
    return (this.#started ??= this.#start());
  }

  /**
   * Takes no more tasks, lets the running tasks finish for KSI_DRAIN_S, then gives them back.
   * @param options.quick gives them back at once, also while a slow stop is under way. Idempotent.
   */
  stop(options: { quick?: boolean } = {}): Promise<void> {
    if (options.quick === true) this.#quick.abort();
    this.#stopping.abort(new Stopped('shutdown'));
    return (this.#stopped ??= this.#stop());
  }

  async #start(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      await this.#options.broker.clock.known(signal);
      await this.#startFolders();
      signal.throwIfAborted();
      await this.#startParts();
    } catch (error) {
      if (signal.aborted) return;
      await this.#lifecycle.stop();
      throw error;
    }
  }

  async #stop(): Promise<void> {
    // The caller of `start` was told of a failure.
    await this.#started?.catch(() => undefined);
    await this.#lifecycle.stop();
  }

  async #startFolders(): Promise<void> {
    const { log } = this.#options;
    const { folders, journal, keeper } = this.#parts;
    log.info({ containment: keeper.kind }, 'what keeps processes from outliving this worker');
    this.#lifecycle.add({ stop: () => this.#removeFolder() });
    await folders.start();
    this.#lifecycle.add({ stop: () => journal.close() });
    this.#lifecycle.add(keeper).start();
    await this.#inherit();
  }

  /** In this order, as the parts are stopped in the reverse order: at last the worker's folder is removed. */
  async #startParts(): Promise<void> {
    const { broker, config } = this.#options;
    const { limit, shortages, removals, retention, deleted, presence, warm } = this.#parts;
    const startedAt = timestampOf(broker.clock);
    this.#lifecycle.add(this.#announcer).online(this.#facts);
    this.#lifecycle.add(limit);
    if (config.KSI_USAGE_LIMIT === 'fleet') await limit.start();
    await whileUnavailable(broker, this.#stopping.signal, () => learnLastPrices(broker, this.#context.prices));
    this.#lifecycle.add(shortages);
    this.#lifecycle.add(removals);
    this.#lifecycle.add(retention).start();
    this.#lifecycle.add(deleted).start();
    this.#lifecycle.add(presence).start(() => this.#presence(startedAt));
    this.#lifecycle.add(warm).start();
    this.#lifecycle.add({ stop: () => this.#drain() });
    this.#lanes.start();
  }

  async #drain(): Promise<void> {
    const { presence, warm } = this.#parts;
    await this.#lanes.stop();
    const cooled = warm.stop();
    presence.say();
    if (this.running > 0) await this.#announcer.draining(this.running);
    const giveBack = (): void => this.#shutdown.abort(new Stopped('shutdown'));
    const timeUp = setTimeout(giveBack, this.#options.config.KSI_DRAIN_S * 1_000);
    this.#quick.signal.addEventListener('abort', giveBack);
    if (this.#quick.signal.aborted) giveBack();
    await this.#lanes.idle();
    clearTimeout(timeUp);
    await cooled;
  }

  async #removeFolder(): Promise<void> {
    const left = await this.#parts.folders.stop();
    if (left.length > 0)
      this.#options.log.error({ left }, "the worker's folder is not removed; the next worker on this host tries again");
  }

  /** Takes over from dead workers of this host: their processes, their tasks and the events that they had not stored. */
  async #inherit(): Promise<void> {
    const { broker, config, log } = this.#options;
    const { folders, blobs } = this.#parts;
    const stopping = this.#stopping.signal;
    const signal = AbortSignal.any([AbortSignal.timeout(config.KSI_LEASE_S * 1_000), stopping]);
    const options = { broker, blobs, workerId: this.id, log, signal };
    await folders.inherit(async (deadId, folder) => {
      await reap({ groups: [], marker: workerMarker(deadId) });
      await inheritJournal(folder, deadId, { ...options, stopping });
    });
  }

  async #run(delivery: Delivery, slot: number): Promise<void> {
    if (this.#disk.full() !== undefined) return refuseRun(delivery, this.#context, FULL_DISK_MS);
    const end = await runTask(delivery, slot, this.#context);
    this.#options.onTaskEnd?.(end);
    if (!NOTHING_RAN.includes(end)) this.#countAttempt();
  }

  #countAttempt(): void {
    const { config, log, onWornOut } = this.#options;
    this.#attempts += 1;
    if (this.#attempts !== config.KSI_WORKER_MAX_TASKS) return;
    log.info({ attempts: this.#attempts }, 'the worker has made KSI_WORKER_MAX_TASKS attempts; another replaces it');
    onWornOut?.();
  }

  get #facts() {
    return {
      worker_id: this.id,
      host: hostname(),
      pid: process.pid,
      concurrency: this.slots,
      queues: listOf(this.#options.config.KSI_QUEUES),
      containment: this.#parts.keeper.kind,
    };
  }

  /** What the worker's presence entry shows now. */
  #presence(startedAt: string): WorkerPresence {
    const { limit, removals } = this.#parts;
    const { left } = removals;
    return defined({
      v: FORMAT_VERSION,
      ...this.#facts,
      running: this.running,
      limited_until: limit.until === undefined ? undefined : new Date(limit.until).toISOString(),
      out_of_service: this.outOfService === 0 ? undefined : this.outOfService,
      left: left.length === 0 ? undefined : left.slice(0, MAX_SHOWN),
      short_of: this.shortOf,
      started_at: startedAt,
      clock_ahead_ms: this.#options.broker.clock.ahead(),
      state: this.#stopped === undefined ? ('working' as const) : ('draining' as const),
    });
  }
}
