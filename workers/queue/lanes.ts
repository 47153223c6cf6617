import type { Logger } from 'pino';
import { MOST_DEPTH } from '../../contracts/agents/tools.js';
import { HEADER, STREAM } from '../../contracts/wire/names.js';
import { laneSpecs, type LaneSpec } from '../../contracts/broker/topology.js';
import type { Broker } from '../../src/broker/connect.js';
import type { Delivery } from '../../src/broker/consume.js';
import { PullLoop } from '../../src/broker/pull-loop.js';
import { laneOrder } from './lane-order.js';
import type { Slots } from './slots.js';

export interface LanesOptions {
  readonly broker: Broker;
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly inboxPrefix?: string | undefined;
  /** Takes a run to its end, in the slot of this number. Must not reject. */
  readonly run: (delivery: Delivery, slot: number) => Promise<void>;
  /** Gives back a run for which there is no room here, to be delivered again after `ms`. Must not reject. */
  readonly refuse: (delivery: Delivery, ms: number) => Promise<void>;
  readonly log: Logger;
}

/** At the first start of a cluster an API makes the consumers, and a lost consumer is soon made again. */
const TIMES_UNANSWERED = 10;

/** While only deeper runs have room here, a run without room is put off so that others are delivered: longer each time, as there may be many. */
const putOffMs = ({ count }: Delivery): number => Math.min(5_000, 250 * count);

/** Takes one run per free slot from the queues, by priority. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #loop: PullLoop<LaneSpec>;
  readonly #running = new Set<Promise<void>>();
  readonly #refusing = new Set<Promise<void>>();
  #turn = 0;

  constructor(options: LanesOptions) {
    const { broker, queues, slots, inboxPrefix, log } = options;
    const specs = laneSpecs(queues);
    this.#options = options;
    this.#loop = new PullLoop({
      broker,
      stream: STREAM.commands,
      consumers: specs,
      inboxPrefix,
      order: () => laneOrder(specs, this.#turn),
      // Tasks that agents asked for stand in the lane `next`.
      hasRoom: ({ lane }) => (lane === 'next' ? slots.hasRoomForSome : slots.hasRoom(0)),
      onDelivery: (delivery) => this.#onDelivery(delivery),
      onUnanswered: ({ name: consumer }, times) => {
        log.debug({ consumer }, 'the consumer does not answer; looking again soon');
        if (times === TIMES_UNANSWERED && broker.connected())
          log.warn(
            { stream: STREAM.commands, consumer },
            'the consumer does not answer, so no task is taken; if it is missing, an API makes it again',
          );
      },
    });
    slots.onRoom(() => this.#loop.look());
  }

  /** The consumers answered when they were last asked. */
  get answered(): boolean {
    return this.#loop.answered;
  }

  start(): void {
    this.#loop.start();
  }

  /** Takes nothing more, and gives back runs that are on their way here. Runs under way go on. Idempotent. */
  async stop(): Promise<void> {
    this.#options.slots.pause();
    await this.#loop.stop();
    await Promise.all(this.#refusing);
  }

  /** Resolves when no run is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #onDelivery(delivery: Delivery): void {
    const { slots } = this.#options;
    const slot = slots.take(depthOf(delivery));
    // Other workers may have room for it now.
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

/** Only KSI writes the header. A value that is no depth counts as the deepest, or as none. */
const depthOf = (delivery: Delivery): number =>
  Math.min(MOST_DEPTH, Math.max(0, Math.trunc(Number(delivery.header(HEADER.depth)) || 0)));
