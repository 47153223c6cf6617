import type { Logger } from 'pino';
import { SUBJECT } from '../contracts/wire/names.js';
import { PRESENCE_S, type WorkerPresence } from '../contracts/tasks/workers.js';
import type { Broker } from '../src/broker/connect.js';

/** Says every few seconds that a worker is there, for people who look; a word that gets lost is followed by the next. */
export class Presence {
  readonly #broker: Broker;
  readonly #process: string;
  readonly #now: () => WorkerPresence;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #saying: Promise<void> = Promise.resolve();

  /** @param options.now what is true at the moment. */
  constructor(options: { broker: Broker; process: string; now: () => WorkerPresence; log: Logger }) {
    this.#broker = options.broker;
    this.#process = options.process;
    this.#now = options.now;
    this.#log = options.log;
  }

  start(): void {
    this.say();
    this.#timer = setInterval(() => this.say(), PRESENCE_S * 1_000);
  }

  /** At once, as something has changed. */
  say(): void {
    this.#put(JSON.stringify(this.#now()), {});
  }

  /** Takes the entry away. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#put('', { 'KV-Operation': 'DEL' });
    await this.#saying;
  }

  #put(payload: string, headers: Record<string, string>): void {
    if (!this.#broker.connected()) return;
    const { worker_id: id } = this.#now();
    this.#saying = this.#saying
      .then(() => this.#broker.publisher.publish({ subject: SUBJECT.worker(this.#process, id), payload, headers }))
      .then(
        () => undefined,
        (error: unknown) => this.#log.debug({ err: error }, "the worker's presence could not be told"),
      );
  }
}
