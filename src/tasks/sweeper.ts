import type { Logger } from 'pino';
import type { Broker } from '../broker/connect.js';
import { sweepParked } from '../broker/parked-runs.js';
import { sweepSessions } from '../broker/session-queue.js';
import type { Expirer } from './expirer.js';

const INTERVAL_MS = 10_000;

/** Something else to be done with each sweep. */
export interface Sweep {
  /** What is logged of the tasks that it counts. */
  readonly done: string;
  readonly sweep: (signal: AbortSignal) => Promise<number>;
}

/**
 * At start, and every 10 s: repairs the sessions that a crash between two steps left with waiting tasks and no run or a parked one
 * that nothing wakes, and ends the tasks that have not started in their time.
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

  /** @param hasEnded by the read model: it may be behind. */
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

  /** Begins at once, unless it is at work already or stopped. */
  sweep(): void {
    if (this.#stop.signal.aborted || !this.#broker.connected()) return;
    this.#sweeping ??= this.#once().finally(() => (this.#sweeping = undefined));
  }

  /** Once, after `ms`, beside the sweeps at their intervals. */
  sweepIn(ms: number): void {
    this.#forgetOnce?.();
    this.#forgetOnce = this.#broker.clock.after(ms, () => this.sweep());
  }

  async #once(): Promise<void> {
    const { signal } = this.#stop;
    // Each by itself: what cannot be promoted, as the queue is full, must not keep what stands there too long from going.
    await this.#try('promoted waiting tasks that a crash had left', () => sweepSessions(this.#broker, signal));
    await this.#try('repaired runs that wait for their time, as a crash had left them', () =>
      sweepParked(this.#broker, this.#hasEnded, signal),
    );
    await this.#try('ended tasks that had not started in their time', () => this.#expirer.sweep(signal));
    for (const { done, sweep } of this.#others) await this.#try(done, () => sweep(signal));
  }

  /** Never rejects. */
  async #try(done: string, sweep: () => Promise<number>): Promise<void> {
    try {
      const tasks = await sweep();
      if (tasks > 0) this.#log.info({ tasks }, done);
    } catch (error) {
      this.#log.warn({ err: error }, 'the queue could not be swept; trying again');
    }
  }
}
