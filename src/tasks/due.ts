import type { Logger } from 'pino';
import { CONSUMER, STREAM } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import type { Delivery } from '../broker/consume.js';
import { isBrokerError } from '../broker/errors.js';
import { parkedTaskOf, wakeParked } from '../broker/parked-runs.js';
import { Work } from '../broker/work.js';

export interface DueOptions {
  readonly broker: Broker;
  readonly inboxPrefix?: string | undefined;
  readonly log: Logger;
}

/** A broker whose clock is ahead says that something is due before it is: then it comes again after this at the latest. */
const LONGEST_PAUSE_MS = 30_000;
/** Handled at once; as each is some round trips to the broker, that is enough for hundreds in a second. */
const AT_ONCE = 16;

/**
 * Does what is due by the broker's schedules: wakes parked runs. All APIs share one consumer, and what one leaves undone
 * comes to another.
 */
export class Due {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #work: Work;

  constructor({ broker, inboxPrefix, log }: DueOptions) {
    this.#broker = broker;
    this.#log = log;
    this.#work = new Work({
      broker,
      stream: STREAM.schedules,
      consumer: CONSUMER.due,
      inboxPrefix,
      atOnce: AT_ONCE,
      handle: (delivery) => this.#handle(delivery),
    });
  }

  start(): void {
    this.#work.start();
  }

  /** Resolves when nothing is under way. Idempotent. */
  stop(): Promise<void> {
    return this.#work.stop();
  }

  /** Never rejects: what could not be done now comes again. */
  async #handle(delivery: Delivery): Promise<void> {
    const task = parkedTaskOf(delivery.subject);
    if (task === undefined) {
      this.#log.warn({ subject: delivery.subject }, 'this build does not know what to do with what is due');
      return delivery.giveBack(LONGEST_PAUSE_MS);
    }
    try {
      const woken = await wakeParked(this.#broker, task);
      if (woken.kind === 'early')
        return delivery.giveBack(Math.min(woken.dueAt - this.#broker.clock.now(), LONGEST_PAUSE_MS));
      await delivery.ack();
      this.#log.debug({ task_id: task.taskId, woken: woken.kind }, 'a task that waited for its time is due');
    } catch (error) {
      const log = { err: error, task_id: task.taskId };
      if (isBrokerError(error)) this.#log.warn(log, 'a task that is due could not be woken; trying again');
      else this.#log.error(log, 'waking a task that is due failed');
    }
  }
}
