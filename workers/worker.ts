import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { FORMAT_VERSION } from '../contracts/wire/names.js';
import type { WorkerPresence } from '../contracts/tasks/workers.js';
import type { Delivery } from '../src/broker/consume.js';
import { timestampOf } from '../src/clock.js';
import { defined } from '../src/defined.js';
import { listOf } from '../src/config/load.js';
import { DiskSpace } from '../src/process/disk-space.js';
import { Lifecycle } from '../src/process/lifecycle.js';
import { Announcer } from './announcer.js';
import { retryWhileUnavailable } from '../src/broker/until-known.js';
import { learnLastPrices } from './claude/last-prices.js';
import type { WorkerContext } from './attempt/context.js';
import { refuseRun } from './attempt/refuse.js';
import { runTask, type TaskEnd } from './attempt/run-task.js';
import { Stopped } from './attempt/stop.js';
import { workerMarker } from './claude/contained-launcher.js';
import { reap } from './guard/reap.js';
import { inheritJournal } from './journal/inherit.js';
import { contextOf, partsOf, type PartsOptions, type WorkerParts } from './parts.js';
import { RunPoller } from './queue/run-poller.js';

export interface WorkerOptions extends PartsOptions {
  /** Called once, after KSI_WORKER_MAX_TASKS attempts. The worker should then be replaced. */
  readonly onWornOut?: () => void;
  /** Called at the end of each run that was delivered to this worker. */
  readonly onTaskEnd?: (end: TaskEnd) => void;
}

/** How many unremoved files a presence entry lists. It must fit in a message. */
const MAX_SHOWN = 20;
/** The delay of a run that this host refuses because its disk is full. Another host may have space. */
const FULL_DISK_MS = 2_000;
/** The ends of runs for which this worker made no attempt. */
const NOTHING_RAN: readonly TaskEnd[] = ['ended', 'lost', 'given_back'];

/** Takes tasks from the broker and runs Claude. */
export class Worker {
  readonly id = `w_${randomBytes(6).toString('hex')}`;
  readonly #options: WorkerOptions;
  readonly #parts: WorkerParts;
  readonly #context: WorkerContext;
  readonly #lanes: RunPoller;
  readonly #disk: DiskSpace;
  readonly #announcer: Announcer;
  readonly #lifecycle = new Lifecycle();
  /** Aborts when running attempts must be returned to the queue. */
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
    this.#disk = new DiskSpace([config.KSI_DIR]);
    this.#announcer = new Announcer(broker, this.id, log);
    this.#lanes = new RunPoller({
      broker,
      queues: listOf(config.KSI_QUEUES),
      slots: this.#parts.slots,
      inboxPrefix: config.KSI_NATS_INBOX,
      run: (delivery, slot) => this.#run(delivery, slot),
      refuse: (delivery, ms) => refuseRun(delivery, this.#context, ms),
      log: this.#context.log,
    });
  }

  /** The worker's name in subjects. A name from the supervisor stays the same after a restart. */
  get process(): string {
    return this.#parts.process;
  }

  /** The worker's folder for temporary files. It exists after the start. This worker removes it at its stop, or else the next worker of the host. */
  get temporary(): string {
    return this.#parts.folders.temporary;
  }

  /** Tasks that can run at the same time. */
  get slots(): number {
    return this.#parts.slots.count;
  }

  /** Tasks running now. */
  get running(): number {
    return this.#parts.slots.running;
  }

  /** Warm processes that wait for tasks of new sessions. */
  get warm(): number {
    return this.#parts.warm.waiting;
  }

  /** Slots out of service because files of their last run could not be removed. */
  get outOfService(): number {
    return this.#parts.slots.retired;
  }

  /** The resource that the host lacks now. */
  get shortage(): string | undefined {
    return this.#parts.shortages.current;
  }

  /** Attempts that ended because the host lacked a resource. */
  get shortages(): number {
    return this.#parts.shortages.count;
  }

  /** Files and folders that could not be removed. */
  get left(): number {
    return this.#parts.removals.left.length;
  }

  /** Whether the worker takes tasks. */
  get ready(): boolean {
    return this.#stopped === undefined && this.#options.broker.connected() && this.#lanes.answered;
  }

  /** Resolves when the worker takes tasks or is stopped. A failed start undoes itself. Idempotent. */
  start(): Promise<void> {
    return (this.#started ??= this.#start());
  }

  /**
   * Takes no more tasks. Running tasks may finish for KSI_DRAIN_S and are then returned to the queue. Idempotent.
   * @param options.quick returns them at once, even if a slow stop is in progress
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
    // A failure is for the caller of `start`.
    await this.#started?.catch(() => undefined);
    await this.#lifecycle.stop();
  }

  async #startFolders(): Promise<void> {
    const { log } = this.#options;
    const { folders, journal, launcher } = this.#parts;
    log.info({ containment: launcher.kind }, 'containment of the processes of runs');
    this.#lifecycle.add({ stop: () => this.#removeFolder() });
    await folders.start();
    this.#lifecycle.add({ stop: () => journal.close() });
    this.#lifecycle.add(launcher).start();
    await this.#inherit();
  }

  /** The parts stop in the reverse order. The worker's folder is removed last. */
  async #startParts(): Promise<void> {
    const { broker, config } = this.#options;
    const { limit, shortages, removals, retention, sizes, files, deleted, presence, warm } = this.#parts;
    const startedAt = timestampOf(broker.clock);
    this.#lifecycle.add(this.#announcer).online(this.#facts);
    this.#lifecycle.add(limit);
    if (config.KSI_USAGE_LIMIT === 'fleet') await limit.start();
    await retryWhileUnavailable(broker, this.#stopping.signal, () => learnLastPrices(broker, this.#context.prices));
    this.#lifecycle.add(shortages);
    this.#lifecycle.add(removals);
    this.#lifecycle.add(retention).start();
    this.#lifecycle.add(sizes).start();
    this.#lifecycle.add(files).start();
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
    const nak = (): void => this.#shutdown.abort(new Stopped('shutdown'));
    const timeUp = setTimeout(nak, this.#options.config.KSI_DRAIN_S * 1_000);
    this.#quick.signal.addEventListener('abort', nak);
    if (this.#quick.signal.aborted) nak();
    await this.#lanes.idle();
    clearTimeout(timeUp);
    await cooled;
  }

  async #removeFolder(): Promise<void> {
    const left = await this.#parts.folders.stop();
    if (left.length > 0)
      this.#options.log.error({ left }, "could not remove the worker's folder; the next worker on this host retries");
  }

  /** Ends the processes of dead workers of this host, stores their undelivered events, and returns their runs to the queue. */
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
    log.info({ attempts: this.#attempts }, 'the worker made KSI_WORKER_MAX_TASKS attempts and should be replaced');
    onWornOut?.();
  }

  get #facts() {
    return {
      worker_id: this.id,
      host: hostname(),
      pid: process.pid,
      concurrency: this.slots,
      queues: listOf(this.#options.config.KSI_QUEUES),
      containment: this.#parts.launcher.kind,
    };
  }

  /** The worker's current presence entry. */
  #presence(startedAt: string): WorkerPresence {
    const { limit, removals } = this.#parts;
    const { left } = removals;
    return defined({
      v: FORMAT_VERSION,
      ...this.#facts,
      running: this.running,
      limited_until: limit.until === undefined ? undefined : new Date(limit.until).toISOString(),
      out_of_service: this.outOfService === 0 ? undefined : this.outOfService,
      undeleted: left.length === 0 ? undefined : left.slice(0, MAX_SHOWN),
      shortage: this.shortage,
      started_at: startedAt,
      clock_ahead_ms: this.#options.broker.clock.ahead(),
      state: this.#stopped === undefined ? ('working' as const) : ('draining' as const),
    });
  }
}
