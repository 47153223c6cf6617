import type { Logger } from 'pino';
import { SUBJECT } from '../contracts/wire/names.js';
import { PRESENCE_S, type WorkerPresence } from '../contracts/tasks/workers.js';
import type { Broker } from '../src/broker/connect.js';

/** Maintains the worker's presence entry. A lost write is harmless, because the next one follows soon. */
export class WorkerPresenceEntry {
  readonly #broker: Broker;
  readonly #process: string;
  readonly #log: Logger;
  #now: (() => WorkerPresence) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #saying: Promise<void> = Promise.resolve();

  constructor(broker: Broker, process: string, log: Logger) {
    this.#broker = broker;
    this.#process = process;
    this.#log = log;
  }

  /** @param now returns the current entry */
  start(now: () => WorkerPresence): void {
    this.#now = now;
    this.say();
    this.#timer = setInterval(() => this.say(), PRESENCE_S * 1_000);
  }

  /** Writes the entry at once. Call this after a change. Does nothing before `start`. */
  say(): void {
    const entry = this.#now?.();
    if (entry !== undefined) this.#put(entry.worker_id, JSON.stringify(entry), {});
  }

  /** Removes the entry. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const entry = this.#now?.();
    this.#now = undefined;
    if (entry !== undefined) this.#put(entry.worker_id, '', { 'KV-Operation': 'DEL' });
    await this.#saying;
  }

  #put(workerId: string, payload: string, headers: Record<string, string>): void {
    if (!this.#broker.connected()) return;
    const subject = SUBJECT.worker(this.#process, workerId);
    this.#saying = this.#saying
      .then(() => this.#broker.publisher.publish({ subject, payload, headers }))
      .then(
        () => undefined,
        (error: unknown) => this.#log.debug({ err: error }, 'could not write the presence entry'),
      );
  }
}
