import { RETRY_MS } from '../retry.js';
import type { Broker } from './connect.js';
import { Puller, type Delivery, type PullEnd } from './consume.js';

export interface PullLoopOptions<C extends { readonly name: string }> {
  readonly broker: Broker;
  readonly stream: string;
  /** Durable consumers, shared by all processes that do this work. A message that one process leaves goes to another. */
  readonly consumers: readonly C[];
  readonly inboxPrefix?: string | undefined;
  /** The order in which consumers are polled while they may have messages. Default: as given. */
  readonly order?: () => readonly C[];
  /** Whether there is capacity for a message of the consumer. Call `look` when capacity may be free again. */
  readonly hasRoom: (consumer: C) => boolean;
  /** Receives a message. While pulls wait at several consumers, more messages may arrive than there is capacity for. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called when a consumer has not answered `times` pulls in succession. */
  readonly onUnanswered?: (consumer: C, times: number) => void;
}

/** The expiry of a waiting pull. A new message is delivered to it at once. */
const PARK_MS = 20_000;

/**
 * Pulls messages from consumers of one stream while there is capacity. It polls the consumers in order until one has a message. When all
 * are empty, it waits at all of them at once.
 */
export class PullLoop<C extends { readonly name: string }> {
  readonly #options: PullLoopOptions<C>;
  readonly #pullers: ReadonlyMap<C, Puller>;
  #stopping = false;
  #loop: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  #woken = false;
  /** True for a while after an unanswered pull. */
  #unavailable = false;
  #unanswered = 0;
  #offConnection: (() => void) | undefined;

  constructor(options: PullLoopOptions<C>) {
    this.#options = options;
    this.#pullers = new Map(options.consumers.map((consumer) => [consumer, this.#puller(consumer)]));
  }

  /** The last pull was answered. */
  get answered(): boolean {
    return this.#unanswered === 0;
  }

  start(): void {
    this.#offConnection = this.#options.broker.onConnection((connected) => {
      // Waiting pulls are lost with the connection.
      if (connected) for (const puller of this.#pullers.values()) puller.reset();
    });
    this.#loop = this.#run();
  }

  /** Polls again: capacity may be free. */
  look(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Stops pulling. Messages in transit are delivered before this resolves. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#offConnection?.();
    this.look();
    await Promise.all([...this.#pullers.values()].map((puller) => puller.stop()));
    await this.#loop;
  }

  #puller(consumer: C): Puller {
    const { broker, stream, inboxPrefix, onDelivery } = this.#options;
    const onEnd = (end: PullEnd): void => this.#onPullEnd(consumer, end);
    return new Puller({ broker, stream, consumer: consumer.name, inboxPrefix, onDelivery, onEnd });
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      if (await this.#askInOrder()) continue;
      this.#park();
      if (!this.#woken) await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
      this.#woken = false;
    }
  }

  #mayPull(consumer: C, puller: Puller): boolean {
    return !this.#stopping && !this.#unavailable && !puller.busy && this.#options.hasRoom(consumer);
  }

  /** @returns whether a consumer had a message. Consumers with a waiting pull are empty; a single consumer needs no order. */
  async #askInOrder(): Promise<boolean> {
    const { consumers, order = () => consumers } = this.#options;
    if (consumers.length === 1) return false;
    for (const consumer of order()) {
      const puller = this.#pullers.get(consumer);
      if (puller === undefined || !this.#mayPull(consumer, puller)) continue;
      const end = await puller.tryNow();
      if (end === 'message') return true;
      this.#onPullEnd(consumer, end);
    }
    return false;
  }

  #park(): void {
    for (const [consumer, puller] of this.#pullers) if (this.#mayPull(consumer, puller)) puller.park(PARK_MS);
  }

  #onPullEnd(consumer: C, end: PullEnd): void {
    if (end !== 'unavailable') {
      this.#unanswered = 0;
      return this.look();
    }
    if (this.#stopping || this.#unavailable) return;
    this.#unavailable = true;
    this.#unanswered += 1;
    this.#options.onUnanswered?.(consumer, this.#unanswered);
    this.#options.broker.clock.after(RETRY_MS.start, () => {
      this.#unavailable = false;
      this.look();
    });
  }
}
