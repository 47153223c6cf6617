import type { Logger } from 'pino';
import { CONSUMER, STREAM } from '../../contracts/names.js';
import type { Broker } from '../broker/connect.js';
import { Puller, type Delivery, type PullEnd } from '../broker/consume.js';
import { isBrokerError } from '../broker/errors.js';
import { parkedTaskOf, wakeParked } from '../broker/parked-runs.js';

export interface DueOptions {
  readonly broker: Broker;
  readonly inboxPrefix?: string | undefined;
  readonly log: Logger;
}

/** A pull that waits is renewed after this; what comes meanwhile is delivered at once. */
const PARK_MS = 20_000;
/** After a pull that had no answer: the broker is away, or its topology not there yet. */
const UNAVAILABLE_PAUSE_MS = 500;
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
  readonly #puller: Puller;
  readonly #handling = new Set<Promise<void>>();
  #forgetPull: (() => void) | undefined;
  #offConnection: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  constructor({ broker, inboxPrefix, log }: DueOptions) {
    this.#broker = broker;
    this.#log = log;
    this.#puller = new Puller({
      broker,
      stream: STREAM.schedules,
      consumer: CONSUMER.due,
      inboxPrefix,
      onDelivery: (delivery) => this.#take(delivery),
      onEnd: (end) => this.#onEnd(end),
    });
  }

  start(): void {
    this.#offConnection = this.#broker.onConnection((connected) => {
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
    if (this.#stopped !== undefined || this.#puller.busy || this.#handling.size >= AT_ONCE) return;
    this.#puller.park(PARK_MS);
  }

  #onEnd(end: PullEnd): void {
    // After a message its handling goes on from there.
    if (end === 'message' || this.#stopped !== undefined) return;
    this.#forgetPull?.();
    this.#forgetPull = this.#broker.clock.after(end === 'empty' ? 0 : UNAVAILABLE_PAUSE_MS, () => this.#pull());
  }

  #take(delivery: Delivery): void {
    const handling = this.#handle(delivery).finally(() => {
      this.#handling.delete(handling);
      this.#pull();
    });
    this.#handling.add(handling);
    this.#pull();
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
