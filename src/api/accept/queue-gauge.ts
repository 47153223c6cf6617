import type { Logger } from 'pino';
import { STREAM } from '../../../contracts/names.js';
import type { Broker } from '../../broker/connect.js';
import { streamPosition } from '../../broker/read.js';

const REFRESH_MS = 1_000;
/** The rest is a reserve for promotions, due schedules and tasks put back: the stream's own limit refuses those too. */
const SHARE_FOR_CLIENTS = 0.9;

/** How full the command stream is, so that an API refuses before the broker must. Looks once a second at most, while tasks arrive. */
export class QueueGauge {
  readonly #broker: Broker;
  readonly #max: number;
  readonly #log: Logger;
  #standing = 0;
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(broker: Broker, max: number, log: Logger) {
    this.#broker = broker;
    this.#max = Math.floor(max * SHARE_FOR_CLIENTS);
    this.#log = log;
  }

  get standing(): number {
    return this.#standing;
  }

  /**
   * Whether one more may be taken; counts it. Waits for nothing while there is room by the last look and what came since: only a refusal
   * is never given by a figure that has grown old.
   */
  take(): boolean | Promise<boolean> {
    const old = performance.now() - this.#lookedAt > REFRESH_MS;
    const looking = old ? this.#look() : this.#looking;
    if (++this.#standing <= this.#max) return true;
    return looking === undefined ? false : looking.then(() => ++this.#standing <= this.#max);
  }

  /** @throws {BrokerError} */
  async refresh(): Promise<void> {
    this.#standing = (await streamPosition(this.#broker, STREAM.commands)).messages;
  }

  #look(): Promise<void> {
    this.#lookedAt = performance.now();
    this.#looking ??= this.refresh()
      .catch((error: unknown) => this.#log.warn({ err: error }, 'the length of the queue could not be read'))
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }
}
