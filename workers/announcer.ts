import type { Logger } from 'pino';
import type { EventData, StoredEvent } from '../contracts/events/events.js';
import { STREAM, SUBJECT } from '../contracts/wire/names.js';
import { retryWhileUnavailable } from '../src/broker/until-known.js';
import type { Broker } from '../src/broker/connect.js';
import { isBrokerError } from '../src/broker/errors.js';
import { eventPublication, newEvent } from '../src/broker/events.js';
import type { Service } from '../src/process/lifecycle.js';

/** How long a stopping worker waits for an unavailable broker. */
const FAREWELL_MS = 1_500;

/** Publishes the events of a worker's lifecycle. Nothing depends on them, so a failure is only logged. */
export class Announcer implements Service {
  readonly #broker: Broker;
  readonly #workerId: string;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #online: Promise<void> = Promise.resolve();

  constructor(broker: Broker, workerId: string, log: Logger) {
    this.#broker = broker;
    this.#workerId = workerId;
    this.#log = log;
  }

  /** Does not wait for the broker: at the first start of a cluster, workers start before the stream exists. */
  online(facts: EventData<'WORKER_ONLINE'>): void {
    const event = newEvent(this.#broker.clock, 'WORKER_ONLINE', facts);
    this.#online = this.#publish(event, 'online', this.#stopping.signal);
  }

  draining(running: number): Promise<void> {
    const event = newEvent(this.#broker.clock, 'WORKER_DRAINING', { worker_id: this.#workerId, running });
    return this.#publish(event, 'draining', AbortSignal.timeout(FAREWELL_MS));
  }

  /** Publishes that the worker is offline. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#online;
    const event = newEvent(this.#broker.clock, 'WORKER_OFFLINE', { worker_id: this.#workerId });
    await this.#publish(event, 'offline', AbortSignal.timeout(FAREWELL_MS));
  }

  async #publish(event: StoredEvent, token: string, signal: AbortSignal): Promise<void> {
    const publication = eventPublication(event, SUBJECT.workerEvent(this.#workerId, token));
    try {
      await retryWhileUnavailable(this.#broker, signal, () => this.#broker.publisher.publish(publication));
    } catch (error) {
      if (!isBrokerError(error) && !signal.aborted) throw error;
      this.#log.warn({ err: error, type: event.type }, `could not publish the worker's event to ${STREAM.events}`);
    }
  }
}
