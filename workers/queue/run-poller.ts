import type { Logger } from 'pino';
import { MAX_DEPTH } from '../../contracts/agents/tools.js';
import { HEADER, STREAM } from '../../contracts/wire/names.js';
import { prioritySpecs, type PrioritySpec } from '../../contracts/broker/topology.js';
import type { Broker } from '../../src/broker/connect.js';
import type { Delivery } from '../../src/broker/consume.js';
import { PullLoop } from '../../src/broker/pull-loop.js';
import { priorityOrder } from './priority-order.js';
import type { Slots } from './slots.js';

export interface RunPollerOptions {
  readonly broker: Broker;
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly inboxPrefix?: string | undefined;
  /** Handles a run to its end, in the given slot. Must not reject. */
  readonly run: (delivery: Delivery, slot: number) => Promise<void>;
  /** Returns a run for which there is no slot, for redelivery after `ms`. Must not reject. */
  readonly refuse: (delivery: Delivery, ms: number) => Promise<void>;
  readonly log: Logger;
}

/** A few unanswered requests are normal: an API creates missing consumers within seconds. */
const TIMES_UNANSWERED = 10;

/** The delay of a refused run while only deeper runs have room, so that those are delivered. It grows, because there may be many runs. */
const putOffMs = ({ count }: Delivery): number => Math.min(5_000, 250 * count);

/** Takes one run per free slot from the queues, by priority. */
export class RunPoller {
  readonly #options: RunPollerOptions;
  readonly #loop: PullLoop<PrioritySpec>;
  readonly #running = new Set<Promise<void>>();
  readonly #refusing = new Set<Promise<void>>();
  #turn = 0;

  constructor(options: RunPollerOptions) {
    const { broker, queues, slots, inboxPrefix, log } = options;
    const specs = prioritySpecs(queues);
    this.#options = options;
    this.#loop = new PullLoop({
      broker,
      stream: STREAM.commands,
      consumers: specs,
      inboxPrefix,
      order: () => priorityOrder(specs, this.#turn),
      // Only `next` has tasks that agents requested, which have a depth.
      hasRoom: ({ runPriority }) => (runPriority === 'next' ? slots.hasRoomForSome : slots.hasRoom(0)),
      onDelivery: (delivery) => this.#onDelivery(delivery),
      onUnanswered: ({ name: consumer }, times) => {
        log.debug({ consumer }, 'the consumer does not answer; retrying');
        if (times === TIMES_UNANSWERED && broker.connected())
          log.warn(
            { stream: STREAM.commands, consumer },
            'the consumer does not answer, so the worker takes no tasks from it; if it is missing, an API creates it again',
          );
      },
    });
    slots.onRoom(() => this.#loop.look());
  }

  /** Whether the consumers answered the last requests. */
  get answered(): boolean {
    return this.#loop.answered;
  }

  start(): void {
    this.#loop.start();
  }

  /** Takes no more runs, and returns those that are already on their way. Current runs continue. Idempotent. */
  async stop(): Promise<void> {
    this.#options.slots.pause();
    await this.#loop.stop();
    await Promise.all(this.#refusing);
  }

  /** Resolves when no run is in progress. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #onDelivery(delivery: Delivery): void {
    const { slots } = this.#options;
    const slot = slots.take(depthOf(delivery));
    // Without a delay if this worker is full: another worker may have room now.
    if (slot === undefined) return this.#refuse(delivery, slots.hasRoomForSome ? putOffMs(delivery) : 0);
    this.#turn += 1;
    const run = this.#options.run(delivery, slot).finally(() => {
      this.#running.delete(run);
      slots.release(slot);
    });
    this.#running.add(run);
  }

  #refuse(delivery: Delivery, ms: number): void {
    const refusing = this.#options.refuse(delivery, ms).finally(() => this.#refusing.delete(refusing));
    this.#refusing.add(refusing);
  }
}

/** The depth in the header, which only KSI writes. Clamps an invalid value. */
const depthOf = (delivery: Delivery): number =>
  Math.min(MAX_DEPTH, Math.max(0, Math.trunc(Number(delivery.header(HEADER.depth)) || 0)));
