import type { Logger } from 'pino';
import { STREAM } from '../contracts/names.js';
import { laneSpecs, type LaneSpec } from '../contracts/topology.js';
import type { Broker } from '../src/broker/connect.js';
import { Puller, type Delivery, type PullEnd } from '../src/broker/consume.js';
import { laneOrder } from './lane-order.js';

export interface LanesOptions {
  readonly broker: Broker;
  readonly queues: readonly string[];
  /** Runs at once. */
  readonly slots: number;
  readonly inboxPrefix?: string | undefined;
  /** Takes a run to its end, in the slot of this number. Must not reject. */
  readonly run: (delivery: Delivery, slot: number) => Promise<void>;
  /** Gives back one for which there is no slot. Must not reject. */
  readonly refuse: (delivery: Delivery) => Promise<void>;
  readonly log: Logger;
}

/** A pull that waits is renewed after this; what comes meanwhile is delivered at once. */
const PARK_MS = 20_000;
/** After a pull that had no answer: the topology is not there yet, or the broker is away. */
const UNAVAILABLE_PAUSE_MS = 500;

/**
 * Takes one run per free slot from the lanes of the queues, and holds no more. While there may be something it looks in
 * lane order; when all lanes are empty it waits at all of them at once.
 */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #specs: readonly LaneSpec[];
  readonly #pullers: ReadonlyMap<LaneSpec, Puller>;
  readonly #freeSlots: number[];
  readonly #running = new Set<Promise<void>>();
  readonly #refusing = new Set<Promise<void>>();
  #turn = 0;
  #stopping = false;
  readonly #holds = new Set<object>();
  readonly #endListeners = new Set<() => void>();
  #loop: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #unavailable = false;
  #offConnection: (() => void) | undefined;

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#specs = laneSpecs(options.queues);
    this.#freeSlots = Array.from({ length: options.slots }, (_, index) => options.slots - 1 - index);
    this.#pullers = new Map(this.#specs.map((spec) => [spec, this.#puller(spec)]));
  }

  /** Runs that are under way. */
  get running(): number {
    return this.#running.size;
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

  get #mayTake(): boolean {
    return this.#freeSlots.length > 0 && this.#holds.size === 0 && !this.#stopping;
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
      if (puller === undefined || puller.busy || this.#stopping) continue;
      const end = await puller.tryNow();
      if (end === 'message') return true;
      this.#onPullEnd(spec, end);
      if (end === 'unavailable') return false;
    }
    return false;
  }

  #parkLanes(): void {
    if (this.#unavailable || this.#stopping) return;
    for (const puller of this.#pullers.values()) if (!puller.busy) puller.park(PARK_MS);
  }

  #onPullEnd(spec: LaneSpec, end: PullEnd): void {
    if (end === 'unavailable' && !this.#stopping && !this.#unavailable) {
      this.#options.log.debug({ consumer: spec.name }, 'the consumer does not answer; looking again soon');
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
    const slot = this.#mayTake ? this.#freeSlots.pop() : undefined;
    // Others may have room for it now.
    if (slot === undefined) return this.#refuse(delivery);
    this.#turn += 1;
    const run = this.#options.run(delivery, slot).finally(() => {
      this.#running.delete(run);
      this.#freeSlots.push(slot);
      for (const listener of this.#endListeners) listener();
      this.#notify();
    });
    this.#running.add(run);
    this.#notify();
  }

  #refuse(delivery: Delivery): void {
    const refusing = this.#options.refuse(delivery).finally(() => this.#refusing.delete(refusing));
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
