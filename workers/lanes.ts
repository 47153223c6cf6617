import type { Logger } from 'pino';
import { MOST_DEPTH } from '../contracts/agents/tools.js';
import { HEADER, STREAM } from '../contracts/wire/names.js';
import { laneSpecs, type LaneSpec } from '../contracts/broker/topology.js';
import type { Broker } from '../src/broker/connect.js';
import { Puller, type Delivery, type PullEnd } from '../src/broker/consume.js';
import { laneOrder } from './lane-order.js';

export interface LanesOptions {
  readonly broker: Broker;
  readonly queues: readonly string[];
  /** Runs at work at once. With those that wait for tasks of their own it holds at most `placesFor(slots)`. */
  readonly slots: number;
  readonly inboxPrefix?: string | undefined;
  /** Takes a run to its end, in the slot of this number. Must not reject. */
  readonly run: (delivery: Delivery, slot: number) => Promise<void>;
  /** Gives back one for which there is no room here, to be delivered again after `ms`. Must not reject. */
  readonly refuse: (delivery: Delivery, ms: number) => Promise<void>;
  readonly log: Logger;
}

/** A pull that waits is renewed after this; what comes meanwhile is delivered at once. */
const PARK_MS = 20_000;
/** After a pull that had no answer: the topology is not there yet, or the broker is away. */
const UNAVAILABLE_PAUSE_MS = 500;
/** At the first start of a cluster an API makes the consumers, and one that is lost is soon made again. */
const TIMES_UNANSWERED = 10;

/** While only deeper runs have room here, a run without room is put off, so that others are delivered: longer each time, as there may be many. */
const putOffMs = ({ count }: Delivery): number => Math.min(5_000, 250 * count);
const DEPTHS = Array.from({ length: MOST_DEPTH + 1 }, (_, depth) => depth);

/** How many runs a worker may hold, those included that wait for tasks of their own. */
export const placesFor = (slots: number): number => slots * DEPTHS.length;

interface Run {
  readonly depth: number;
  /** Calls of its agent that wait for another task. */
  waits: number;
}

/**
 * Takes one run per free slot from the lanes of the queues, and holds no more. While there may be something it looks in
 * lane order; when all lanes are empty it waits at all of them at once. A run that waits for a task of its own lends its slot to tasks
 * that were asked for by agents. Of runs up to depth d it holds at most (d + 1) times its slots, so a task that others wait for always
 * finds room (ADR 39).
 */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #specs: readonly LaneSpec[];
  readonly #pullers: ReadonlyMap<LaneSpec, Puller>;
  readonly #freeSlots: number[];
  readonly #running = new Set<Promise<void>>();
  /** By slot. */
  readonly #runs = new Map<number, Run>();
  readonly #refusing = new Set<Promise<void>>();
  readonly #retired = new Set<number>();
  #turn = 0;
  #stopping = false;
  readonly #holds = new Set<object>();
  readonly #endListeners = new Set<() => void>();
  #loop: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #unavailable = false;
  /** Pulls in succession that had no answer. */
  #unanswered = 0;
  #offConnection: (() => void) | undefined;

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#specs = laneSpecs(options.queues);
    const places = placesFor(options.slots);
    this.#freeSlots = Array.from({ length: places }, (_, index) => places - 1 - index);
    this.#pullers = new Map(this.#specs.map((spec) => [spec, this.#puller(spec)]));
  }

  /** Runs that are under way. */
  get running(): number {
    return this.#running.size;
  }

  /** Its consumers answered when they were last asked. */
  get answered(): boolean {
    return this.#unanswered === 0;
  }

  start(): void {
    this.#offConnection = this.#options.broker.onConnection((connected) => {
      // The broker that is back knows nothing of the pulls.
      if (connected) for (const puller of this.#pullers.values()) puller.reset();
    });
    this.#loop = this.#take();
  }

  /** Takes nothing more: what is still on its way here is given back. Runs under way go on. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Takes nothing more until the returned function is called; several may hold it at once. */
  pause(): () => void {
    const hold = {};
    this.#holds.add(hold);
    return () => {
      this.#holds.delete(hold);
      this.#notify();
    };
  }

  /** Lends a run's slot while the run waits for a task. @returns what ends that, to be called once. */
  lend(slot: number): () => void {
    const run = this.#runs.get(slot);
    if (run === undefined) return () => undefined;
    run.waits += 1;
    this.#notify();
    return () => {
      run.waits -= 1;
    };
  }

  /** Slots that are out of service. */
  get retired(): number {
    return this.#retired.size;
  }

  /** Takes a slot out of service: it takes no run, and the worker one run less. @returns what ends that. */
  retire(slot: number): () => void {
    this.#retired.add(slot);
    return () => {
      this.#retired.delete(slot);
      // A run that is still in it gives it back at its end.
      if (!this.#runs.has(slot)) this.#freeSlots.push(slot);
      this.#notify();
    };
  }

  /** Calls `listener` when a run has ended. Returns how to stop that. */
  onEnd(listener: () => void): () => void {
    this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  /** Resolves when no run is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    this.#offConnection?.();
    this.#notify();
    await Promise.all([...this.#pullers.values()].map((puller) => puller.stop()));
    await Promise.all(this.#refusing);
    await this.#loop;
  }

  #puller(spec: LaneSpec): Puller {
    return new Puller({
      broker: this.#options.broker,
      stream: STREAM.commands,
      consumer: spec.name,
      inboxPrefix: this.#options.inboxPrefix,
      onDelivery: (delivery) => this.#onDelivery(delivery),
      onEnd: (end) => this.#onPullEnd(spec, end),
    });
  }

  /** Whether a run of this depth may begin. */
  #hasRoom(depth: number): boolean {
    const slots = this.#options.slots - this.#retired.size;
    const runs = [...this.#runs.values()];
    if (this.#holds.size > 0 || this.#stopping || runs.filter(({ waits }) => waits === 0).length >= slots) return false;
    return DEPTHS.slice(depth).every((d) => runs.filter((run) => run.depth <= d).length < slots * (d + 1));
  }

  /** What agents asked for is in the lane `next`. */
  #takes({ lane }: LaneSpec): boolean {
    return lane === 'next' ? DEPTHS.some((depth) => this.#hasRoom(depth)) : this.#hasRoom(0);
  }

  get #mayTake(): boolean {
    return DEPTHS.some((depth) => this.#hasRoom(depth));
  }

  async #take(): Promise<void> {
    while (!this.#stopping) {
      if (this.#mayTake && (await this.#tryLanes())) continue;
      if (this.#mayTake) this.#parkLanes();
      await this.#somethingNew();
    }
  }

  /** Looks into the lanes in order, until one gives a run. A lane that is being waited at is empty. */
  async #tryLanes(): Promise<boolean> {
    for (const spec of laneOrder(this.#specs, this.#turn)) {
      const puller = this.#pullers.get(spec);
      if (puller === undefined || puller.busy || !this.#takes(spec)) continue;
      const end = await puller.tryNow();
      if (end === 'message') return true;
      this.#onPullEnd(spec, end);
      if (end === 'unavailable') return false;
    }
    return false;
  }

  #parkLanes(): void {
    if (this.#unavailable || this.#stopping) return;
    for (const [spec, puller] of this.#pullers) if (!puller.busy && this.#takes(spec)) puller.park(PARK_MS);
  }

  #onPullEnd(spec: LaneSpec, end: PullEnd): void {
    if (end !== 'unavailable') this.#unanswered = 0;
    if (end === 'unavailable' && !this.#stopping && !this.#unavailable) {
      const { broker, log } = this.#options;
      log.debug({ consumer: spec.name }, 'the consumer does not answer; looking again soon');
      this.#unanswered += 1;
      if (this.#unanswered === TIMES_UNANSWERED && broker.connected())
        log.warn(
          { stream: STREAM.commands, consumer: spec.name },
          'the consumer does not answer, so no task is taken; if it is missing, an API makes it again',
        );
      this.#unavailable = true;
      this.#options.broker.clock.after(UNAVAILABLE_PAUSE_MS, () => {
        this.#unavailable = false;
        this.#notify();
      });
      return;
    }
    this.#notify();
  }

  #onDelivery(delivery: Delivery): void {
    const depth = depthOf(delivery);
    const slot = this.#hasRoom(depth) ? this.#freeSlots.pop() : undefined;
    // Others may have room for it now.
    if (slot === undefined) return this.#refuse(delivery, this.#mayTake ? putOffMs(delivery) : 0);
    this.#runs.set(slot, { depth, waits: 0 });
    this.#turn += 1;
    const run = this.#options.run(delivery, slot).finally(() => {
      this.#running.delete(run);
      this.#runs.delete(slot);
      if (!this.#retired.has(slot)) this.#freeSlots.push(slot);
      for (const listener of this.#endListeners) listener();
      this.#notify();
    });
    this.#running.add(run);
    this.#notify();
  }

  #refuse(delivery: Delivery, ms: number): void {
    const refusing = this.#options.refuse(delivery, ms).finally(() => this.#refusing.delete(refusing));
    this.#refusing.add(refusing);
  }

  #notify(): void {
    this.#woken = true;
    this.#wake?.();
  }

  async #somethingNew(): Promise<void> {
    if (!this.#woken) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
    this.#woken = false;
  }
}

/** Nobody but KSI writes it; one that is no depth counts as the deepest or none. */
const depthOf = (delivery: Delivery): number =>
  Math.min(MOST_DEPTH, Math.max(0, Math.trunc(Number(delivery.header(HEADER.depth)) || 0)));
