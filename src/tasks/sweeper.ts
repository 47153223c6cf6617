import type { Logger } from 'pino';
import type { Broker } from '../broker/connect.js';
import { sweepParked } from '../broker/parked-runs.js';
import { sweepSessions } from '../broker/session-queue.js';
import type { Expirer } from './expirer.js';

const INTERVAL_MS = 10_000;

/** A further step of each sweep. */
export interface Sweep {
  /** The log line when the step's count is not 0. */
  readonly done: string;
  readonly sweep: (signal: AbortSignal) => Promise<number>;
}

/**
 * At the start and every 10 s: repairs sessions that a crash between two steps left with waiting tasks but no run, or with a parked run
 * without a schedule, and expires tasks that have not started before their deadline.
 */
export class Sweeper {
  readonly #broker: Broker;
  readonly #expirer: Pick<Expirer, 'sweep'>;
  readonly #hasEnded: (taskId: string) => boolean;
  readonly #others: readonly Sweep[];
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #sweeping: Promise<void> | undefined;
  #forgetNext: (() => void) | undefined;
  #forgetOnce: (() => void) | undefined;

  /** @param hasEnded by the read model, which may be behind. */
  constructor(
    broker: Broker,
    expirer: Pick<Expirer, 'sweep'>,
    hasEnded: (taskId: string) => boolean,
    others: readonly Sweep[],
    log: Logger,
  ) {
    this.#broker = broker;
    this.#expirer = expirer;
    this.#hasEnded = hasEnded;
    this.#others = others;
    this.#log = log;
  }

  start(): void {
    this.sweep();
    this.#forgetNext = this.#broker.clock.after(INTERVAL_MS, () => this.start());
  }

  async stop(): Promise<void> {
    this.#forgetNext?.();
    this.#forgetOnce?.();
    this.#stop.abort();
    await this.#sweeping;
  }

  /** Sweeps now, unless a sweep is running or the sweeper is stopped. */
  sweep(): void {
    if (this.#stop.signal.aborted || !this.#broker.connected()) return;
    this.#sweeping ??= this.#once().finally(() => (this.#sweeping = undefined));
  }

  /** Sweeps once more after `ms`. */
  sweepIn(ms: number): void {
    this.#forgetOnce?.();
    this.#forgetOnce = this.#broker.clock.after(ms, () => this.sweep());
  }

  async #once(): Promise<void> {
    const { signal } = this.#stop;
    // Each step by itself: if the queue is full, promotion fails, but tasks must still expire.
    await this.#try('promoted waiting tasks after a crash', () => sweepSessions(this.#broker, signal));
    await this.#try('repaired parked runs after a crash', () => sweepParked(this.#broker, this.#hasEnded, signal));
    await this.#try('expired tasks that had not started before their deadline', () => this.#expirer.sweep(signal));
    for (const { done, sweep } of this.#others) await this.#try(done, () => sweep(signal));
  }

  /** Never rejects. */
  async #try(done: string, sweep: () => Promise<number>): Promise<void> {
    try {
      const tasks = await sweep();
      if (tasks > 0) this.#log.info({ tasks }, done);
    } catch (error) {
      this.#log.warn({ err: error }, 'a step of the sweep failed; the next sweep retries');
    }
  }
}
