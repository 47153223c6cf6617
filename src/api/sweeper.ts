import type { Logger } from 'pino';
import type { Broker } from '../broker/connect.js';
import { sweepParked } from '../broker/parked-runs.js';
import { sweepSessions } from '../broker/session-queue.js';
import type { Expirer } from './expirer.js';

const INTERVAL_MS = 10_000;

/**
 * At start, and every 10 s: repairs the sessions that a crash between two steps left with waiting tasks and no run or a parked one
 * that nothing wakes, and ends the tasks that have not started in their time.
 */
export class Sweeper {
  readonly #broker: Broker;
  readonly #expirer: Pick<Expirer, 'sweep'>;
  readonly #hasEnded: (taskId: string) => boolean;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #sweeping: Promise<void> | undefined;
  #forgetNext: (() => void) | undefined;

  /** @param hasEnded by the read model: it may be behind. */
  constructor(broker: Broker, expirer: Pick<Expirer, 'sweep'>, hasEnded: (taskId: string) => boolean, log: Logger) {
    this.#broker = broker;
    this.#expirer = expirer;
    this.#hasEnded = hasEnded;
    this.#log = log;
  }

  start(): void {
    this.#sweep();
    this.#forgetNext = this.#broker.clock.after(INTERVAL_MS, () => this.start());
  }

  async stop(): Promise<void> {
    this.#forgetNext?.();
    this.#stop.abort();
    await this.#sweeping;
  }

  #sweep(): void {
    if (!this.#broker.connected()) return;
    this.#sweeping ??= this.#once().finally(() => (this.#sweeping = undefined));
  }

  async #once(): Promise<void> {
    try {
      const promoted = await sweepSessions(this.#broker, this.#stop.signal);
      if (promoted > 0) this.#log.info({ promoted }, 'promoted waiting tasks that a crash had left');
      const parked = await sweepParked(this.#broker, this.#hasEnded, this.#stop.signal);
      if (parked > 0) this.#log.info({ parked }, 'repaired runs that wait for their time, as a crash had left them');
      const expired = await this.#expirer.sweep(this.#stop.signal);
      if (expired > 0) this.#log.info({ expired }, 'ended tasks that had not started in their time');
    } catch (error) {
      this.#log.warn({ err: error }, 'the sessions could not be swept; trying again');
    }
  }
}
