import type { Logger } from 'pino';
import type { StoredEvent } from '../../../contracts/events/events.js';
import { keyToken } from '../../../contracts/wire/key-token.js';
import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { SharedRecord } from '../../../contracts/agents/shared.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { isTransient } from '../../broker/errors.js';
import { eventPublication, newEvent } from '../../broker/events.js';
import { purge } from '../../broker/purge.js';
import type { Publication } from '../../broker/publish.js';
import { sleep } from '../../clock.js';
import { RETRY_MS } from '../../retry.js';
import { defined } from '../../defined.js';

/** An upper bound for the size of an event without its value. */
const EVENT_BYTES = 8_192;

/**
 * Publishes SHARED_SET and SHARED_DELETED after changes of shared state. The API answers a change after its event is published. If the
 * broker becomes unavailable in between, the API answers at once and this class retries in the background.
 */
export class SharedEvents {
  readonly #broker: Broker;
  readonly #blobs: Blobs;
  readonly #log: Logger;
  readonly #late = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(broker: Broker, blobs: Blobs, log: Logger) {
    this.#broker = broker;
    this.#blobs = blobs;
    this.#log = log;
  }

  /** Gives up unpublished events and logs them. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#late);
  }

  /** Never rejects. */
  set({ owner, key, by, size, value, ref }: SharedRecord, revision: number): Promise<void> {
    const whole = ref === undefined && !this.#blobs.needed(size + EVENT_BYTES);
    const common = defined({ owner, key, revision, by });
    return this.#publishEvent(
      newEvent(this.#broker.clock, 'SHARED_SET', { ...common, size, ...(whole ? { value } : {}) }),
      owner,
      key,
    );
  }

  /** Never rejects. */
  deleted({ owner, key, by }: Pick<SharedRecord, 'owner' | 'key' | 'by'>, revision: number): Promise<void> {
    const data = defined({ owner, key, revision, by });
    return this.#publishEvent(newEvent(this.#broker.clock, 'SHARED_DELETED', data), owner, key);
  }

  /** Deletes an owner's events, which contain values. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return purge(this.#broker, STREAM.events, SUBJECT.sharedEvent(owner, '*'));
  }

  async #publishEvent(event: StoredEvent, owner: string, key: string): Promise<void> {
    const publication = eventPublication(event, SUBJECT.sharedEvent(owner, keyToken(key)));
    if (await this.#publish(publication)) return;
    const late = this.#retry(publication).finally(() => this.#late.delete(late));
    this.#late.add(late);
  }

  async #retry(publication: Publication): Promise<void> {
    const { signal } = this.#stopping;
    do await sleep(this.#broker.clock, RETRY_MS.background, signal).catch(() => undefined);
    while (!signal.aborted && !(await this.#publish(publication)));
    if (signal.aborted)
      this.#log.error({ subject: publication.subject }, 'lost an event of shared state: the API stops');
  }

  /** @returns false to retry. */
  async #publish(publication: Publication): Promise<boolean> {
    try {
      await this.#broker.publisher.publish(publication);
    } catch (error) {
      if (isTransient(error)) return false;
      this.#log.error(
        { err: error, subject: publication.subject },
        'could not publish an event of shared state; giving up',
      );
    }
    return true;
  }
}
