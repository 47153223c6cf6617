import type { Broker } from './connect.js';
import type { Delivery } from './consume.js';
import { PullLoop } from './pull-loop.js';

export interface ConsumerLoopOptions {
  readonly broker: Broker;
  readonly inboxPrefix?: string | undefined;
}

/** A durable consumer, shared by all processes that do this work. A message that one process leaves goes to another. */
export interface SharedConsumer {
  readonly stream: string;
  readonly consumer: string;
  /** How many messages are handled concurrently. */
  readonly atOnce: number;
}

/** Handles the messages of a shared consumer concurrently. */
export abstract class ConsumerLoop {
  readonly #loop: PullLoop<{ readonly name: string }>;
  readonly #handling = new Set<Promise<void>>();

  constructor({ broker, inboxPrefix }: ConsumerLoopOptions, { stream, consumer, atOnce }: SharedConsumer) {
    this.#loop = new PullLoop({
      broker,
      stream,
      consumers: [{ name: consumer }],
      inboxPrefix,
      hasRoom: () => this.#handling.size < atOnce,
      onDelivery: (delivery) => {
        const handling = this.handle(delivery).finally(() => {
          this.#handling.delete(handling);
          this.#loop.look();
        });
        this.#handling.add(handling);
      },
    });
  }

  /** Acknowledges or naks a message, or leaves it for redelivery. Must not reject. */
  protected abstract handle(delivery: Delivery): Promise<void>;

  start(): void {
    this.#loop.start();
  }

  /** Resolves when all messages in progress are handled. Idempotent. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    await Promise.all(this.#handling);
  }
}
