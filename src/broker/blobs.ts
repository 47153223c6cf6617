import { Objm, type ObjectStore } from '@nats-io/obj';
import type { BlobRef } from '../../contracts/blob.js';
import { BUCKET } from '../../contracts/names.js';
import type { Broker } from './connect.js';
import { asBrokerError } from './read.js';
import { BrokerError } from './errors.js';

/** What a message may take beside its body: subject, headers and the protocol's own. */
const HEADROOM = 16_384;
/** What the names of events' bodies begin with. */
const OF_EVENTS = 'event/';

/** Bodies too large for a message, in object stores: those of events in one that their readers read too, all others in KSI's own. */
export class Blobs {
  readonly #broker: Broker;
  readonly #stores = new Map<string, Promise<ObjectStore>>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** Whether `bytes` of body need a blob with the broker's present `max_payload`. */
  needed(bytes: number): boolean {
    return bytes > (this.#broker.nc.info?.max_payload ?? 1_048_576) - HEADROOM;
  }

  /** Stores `body` under `name`, replacing an earlier one. @throws {BrokerError} */
  async put(name: string, body: Uint8Array): Promise<BlobRef> {
    try {
      const store = await this.#open(name);
      await store.putBlob({ name }, body);
      return { name, size: body.length };
    } catch (error) {
      throw asBrokerError(error, `storing the blob ${name}`);
    }
  }

  /** @throws {BrokerError} also when there is none. */
  async get(ref: BlobRef): Promise<Uint8Array> {
    let body: Uint8Array | null;
    try {
      const store = await this.#open(ref.name);
      body = await store.getBlob(ref.name);
    } catch (error) {
      throw asBrokerError(error, `reading the blob ${ref.name}`);
    }
    if (body === null) throw new BrokerError('refused', `The blob ${ref.name} is not in the object store any more`);
    return body;
  }

  async delete(name: string): Promise<void> {
    try {
      await (await this.#open(name)).delete(name);
    } catch (error) {
      throw asBrokerError(error, `deleting the blob ${name}`);
    }
  }

  /** Deletes all whose name begins so. @throws {BrokerError} */
  async deleteBelow(prefix: string): Promise<void> {
    try {
      const store = await this.#open(prefix);
      for (const { name } of await store.list()) if (name.startsWith(prefix)) await store.delete(name);
    } catch (error) {
      throw asBrokerError(error, `deleting the blobs below ${prefix}`);
    }
  }

  #open(name: string): Promise<ObjectStore> {
    const bucket = name.startsWith(OF_EVENTS) ? BUCKET.blobs : BUCKET.privateBlobs;
    const store =
      this.#stores.get(bucket) ??
      new Objm(this.#broker.js).open(bucket, false).catch((error: unknown) => {
        this.#stores.delete(bucket);
        throw error;
      });
    this.#stores.set(bucket, store);
    return store;
  }
}
