import type { Broker } from './connect.js';
import { Puller, type Delivery, type PullEnd } from './consume.js';

export interface WorkOptions {
  readonly broker: Broker;
  readonly stream: string;
  /** A durable one, shared by all processes that do this work: what one leaves undone comes to another. */
  readonly consumer: string;
  readonly inboxPrefix?: string | undefined;
  /** Deliveries under way at once. */
  readonly atOnce: number;
  /** Acknowledges it, or gives it back, or leaves it to come again. Never rejects. */
  readonly handle: (delivery: Delivery) => Promise<void>;
}

/** A pull that waits is renewed after this; what comes meanwhile is delivered at once. */
const PARK_MS = 20_000;
/** After a pull that had no answer: the broker is away, or its topology not there yet. */
const UNAVAILABLE_PAUSE_MS = 500;

/** Takes what a shared consumer has to do, so many at once. */
export class Work {
  readonly #options: WorkOptions;
  readonly #puller: Puller;
  readonly #handling = new Set<Promise<void>>();
  #forgetPull: (() => void) | undefined;
  #offConnection: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: WorkOptions) {
    this.#options = options;
    this.#puller = new Puller({
      broker: options.broker,
      stream: options.stream,
      consumer: options.consumer,
      inboxPrefix: options.inboxPrefix,
      onDelivery: (delivery) => this.#take(delivery),
      onEnd: (end) => this.#onEnd(end),
    });
  }

  start(): void {
    this.#offConnection = this.#options.broker.onConnection((connected) => {
      // The broker that is back knows nothing of the pull.
      if (connected) this.#puller.reset();
    });
    this.#pull();
  }

  /** Resolves when nothing is under way. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#offConnection?.();
    this.#forgetPull?.();
    await this.#puller.stop();
    await Promise.all(this.#handling);
  }

  #pull(): void {
    if (this.#stopped !== undefined || this.#puller.busy || this.#handling.size >= this.#options.atOnce) return;
    this.#puller.park(PARK_MS);
  }

  #onEnd(end: PullEnd): void {
    // After a message its handling goes on from there.
    if (end === 'message' || this.#stopped !== undefined) return;
    this.#forgetPull?.();
    const pauseMs = end === 'empty' ? 0 : UNAVAILABLE_PAUSE_MS;
    this.#forgetPull = this.#options.broker.clock.after(pauseMs, () => this.#pull());
  }

  #take(delivery: Delivery): void {
    const handling = this.#options.handle(delivery).finally(() => {
      this.#handling.delete(handling);
      this.#pull();
    });
    this.#handling.add(handling);
    this.#pull();
  }
}
