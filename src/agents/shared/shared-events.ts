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

/** What an event has beside the value, at the most. */
const EVENT_BYTES = 8_192;
const RETRY_MS = 1_000;

/**
 * Tells of changes of shared state, once they are made: SHARED_SET and SHARED_DELETED. A change is answered when it is told;
 * if the broker goes away between the two, it is told as soon as it is back.
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

  /** Gives up what could not be told yet, which is logged. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#late);
  }

  /** Never rejects. */
  set({ owner, key, by, size, value, ref }: SharedRecord, revision: number): Promise<void> {
    const whole = ref === undefined && !this.#blobs.needed(size + EVENT_BYTES);
    const common = { owner, key, revision, ...(by === undefined ? {} : { by }) };
    return this.#tell(
      newEvent(this.#broker.clock, 'SHARED_SET', { ...common, size, ...(whole ? { value } : {}) }),
      owner,
      key,
    );
  }

  /** Never rejects. */
  deleted({ owner, key, by }: Pick<SharedRecord, 'owner' | 'key' | 'by'>, revision: number): Promise<void> {
    const data = { owner, key, revision, ...(by === undefined ? {} : { by }) };
    return this.#tell(newEvent(this.#broker.clock, 'SHARED_DELETED', data), owner, key);
  }

  /** Deletes those of an owner: they hold the values. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return purge(this.#broker, STREAM.events, SUBJECT.sharedEvent(owner, '*'));
  }

  async #tell(event: StoredEvent, owner: string, key: string): Promise<void> {
    const publication = eventPublication(event, SUBJECT.sharedEvent(owner, keyToken(key)));
    if (await this.#told(publication)) return;
    const late = this.#goOn(publication).finally(() => this.#late.delete(late));
    this.#late.add(late);
  }

  async #goOn(publication: Publication): Promise<void> {
    const { signal } = this.#stopping;
    do await sleep(this.#broker.clock, RETRY_MS, signal).catch(() => undefined);
    while (!signal.aborted && !(await this.#told(publication)));
    if (signal.aborted) this.#log.error({ subject: publication.subject }, 'a change of shared state was not told');
  }

  /** False: try again. */
  async #told(publication: Publication): Promise<boolean> {
    try {
      await this.#broker.publisher.publish(publication);
    } catch (error) {
      if (isTransient(error)) return false;
      this.#log.error({ err: error, subject: publication.subject }, 'a change of shared state could not be told');
    }
    return true;
  }
}
