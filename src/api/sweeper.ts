import type { Logger } from 'pino';
import type { Broker } from '../broker/connect.js';
import { sweepSessions } from '../broker/session-queue.js';

const INTERVAL_MS = 10_000;

/** Repairs the sessions that a crash between two steps left with waiting tasks and no run: at start, and every 10 s. */
export class Sweeper {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #sweeping: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#log = log;
  }

  start(): void {
    this.#sweep();
    this.#timer = setInterval(() => this.#sweep(), INTERVAL_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
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
    } catch (error) {
      this.#log.warn({ err: error }, 'the sessions could not be swept; trying again');
    }
  }
}
