import type { Logger } from 'pino';
import { CONSUMER, STREAM } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import type { Delivery } from '../broker/consume.js';
import { isBrokerError } from '../broker/errors.js';
import { parkedTaskOf, wakeParked } from '../broker/parked-runs.js';
import { ConsumerLoop, type ConsumerLoopOptions } from '../broker/consumer-loop.js';

export interface DueSchedulesOptions extends ConsumerLoopOptions {
  readonly log: Logger;
}

/** If the broker's clock is ahead, a schedule fires early. The message is then redelivered after at most this time. */
const MAX_PAUSE_MS = 30_000;
/** Handled at once. Each takes a few round trips to the broker, so this allows hundreds per second. */
const AT_ONCE = 16;

/**
 * Handles fired schedules: wakes parked runs. All APIs share one consumer, so another API handles what one leaves undone.
 */
export class DueSchedules extends ConsumerLoop {
  readonly #broker: Broker;
  readonly #log: Logger;

  constructor(options: DueSchedulesOptions) {
    super(options, { stream: STREAM.schedules, consumer: CONSUMER.due, atOnce: AT_ONCE });
    this.#broker = options.broker;
    this.#log = options.log;
  }

  /** Never rejects. The broker redelivers a failed message. */
  protected override async handle(delivery: Delivery): Promise<void> {
    const task = parkedTaskOf(delivery.subject);
    if (task === undefined) {
      this.#log.warn(
        { subject: delivery.subject },
        'a fired schedule has an unknown subject; returning it for a newer build',
      );
      return delivery.nak(MAX_PAUSE_MS);
    }
    try {
      const woken = await wakeParked(this.#broker, task);
      if (woken.kind === 'early') return delivery.nak(Math.min(woken.dueAt - this.#broker.clock.now(), MAX_PAUSE_MS));
      await delivery.ack();
      this.#log.debug({ task_id: task.taskId, woken: woken.kind }, 'handled the fired schedule of a parked task');
    } catch (error) {
      const log = { err: error, task_id: task.taskId };
      if (isBrokerError(error)) this.#log.warn(log, 'could not wake a parked task; retrying');
      else this.#log.error(log, 'failed to wake a parked task; the broker redelivers its schedule');
    }
  }
}
