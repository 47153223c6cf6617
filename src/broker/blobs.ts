import { createHash } from 'node:crypto';
import { Objm, type ObjectStore } from '@nats-io/obj';
import { Type, type Static } from 'typebox';
import type { BlobRef } from '../../contracts/wire/blob.js';
import { check } from '../../contracts/wire/check.js';
import { BUCKET } from '../../contracts/wire/names.js';
import { parseJson } from '../json.js';
import type { Broker } from './connect.js';
import { BrokerError } from './errors.js';
import { asBrokerError, lastBySubject, subjectsOf } from './read.js';
import { purge } from './purge.js';
import { readStream } from './replay.js';

/** Bytes reserved in a message for its subject, headers and protocol overhead. */
const HEADROOM = 16_384;
const SLICE_BYTES = 131_072;
/** Name prefix of event bodies. */
const OF_EVENTS = 'event/';

/** The blob name for the body of a task's event. */
export const eventBlob = (taskId: string, eventId: string): string => `${OF_EVENTS}${taskId}/${eventId}`;

/** The metadata that an object store keeps for an object. */
const Info = Type.Object({ nuid: Type.String(), digest: Type.String(), deleted: Type.Optional(Type.Boolean()) });
type Info = Static<typeof Info>;

/**
 * Stores bodies that are too large for a message in object stores. Event bodies have a store that event readers may read; all other
 * bodies are in a private one. The client library creates a consumer for each read, list and delete, and the broker keeps it for five
 * minutes. This class creates no consumers.
 */
export class Blobs {
  readonly #broker: Broker;
  readonly #stores = new Map<string, Promise<ObjectStore>>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** Whether a body of `bytes` exceeds the broker's current `max_payload`. */
  needed(bytes: number): boolean {
    return bytes > (this.#broker.nc.info?.max_payload ?? 1_048_576) - HEADROOM;
  }

  /** Stores a body, whole or in pieces, and replaces an earlier blob of that name. @throws {BrokerError} */
  async put(name: string, body: Uint8Array | Iterable<Uint8Array>): Promise<BlobRef> {
    try {
      const store = await this.#open(name);
      const { size } = await store.put(
        { name },
        ReadableStream.from(inSlices(body instanceof Uint8Array ? [body] : body)),
      );
      return { name, size };
    } catch (error) {
      throw asBrokerError(error, `storing the blob ${name}`);
    }
  }

  /** @throws {BrokerError} also when the blob does not exist. */
  async get(ref: BlobRef): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.chunks(ref)) chunks.push(chunk);
    const { buffer, byteOffset, length } = Buffer.concat(chunks);
    return new Uint8Array(buffer, byteOffset, length);
  }

  /** Streams a blob with backpressure. @throws {BrokerError} also when the blob does not exist or is incomplete. */
  async *chunks({ name }: Pick<BlobRef, 'name'>): AsyncGenerator<Uint8Array> {
    const bucket = bucketOf(name);
    const info = await this.#info(bucket, metaSubject(bucket, name));
    if (info === undefined) throw missingBlob(name);
    const digest = createHash('sha256');
    const subject = chunkSubject(bucket, info.nuid);
    for await (const { data } of readStream(this.#broker, streamOf(bucket), subject, 0, Number.MAX_SAFE_INTEGER)) {
      digest.update(data);
      yield data;
    }
    // The blob was deleted or replaced during the read.
    if (digest.digest('base64url') !== info.digest.replace(/^SHA-256=|=+$/g, '')) throw missingBlob(name);
  }

  /** Deletes a blob with its metadata. @throws {BrokerError} */
  async delete(name: string): Promise<void> {
    const bucket = bucketOf(name);
    await this.#remove(bucket, metaSubject(bucket, name));
  }

  /** Deletes blobs by name prefix. All prefixes must belong to one bucket. @throws {BrokerError} */
  async deleteBelow(...prefixes: readonly string[]): Promise<void> {
    const bucket = bucketOf(prefixes[0] ?? '');
    for (const { subject, name } of await this.#names(bucket))
      if (prefixes.some((prefix) => name.startsWith(prefix))) await this.#remove(bucket, subject);
  }

  /**
   * Deletes the blobs of these ids, named `<kind>/<id>` or `<kind>/<id>/…`.
   * @param kinds must belong to one bucket. @throws {BrokerError}
   */
  async deleteOf(kinds: readonly string[], ids: ReadonlySet<string>): Promise<void> {
    if (ids.size === 0) return;
    const bucket = bucketOf(`${kinds[0] ?? ''}/`);
    for (const { subject, name } of await this.#names(bucket)) {
      const [kind = '', id = ''] = name.split('/', 2);
      if (kinds.includes(kind) && ids.has(id)) await this.#remove(bucket, subject);
    }
  }

  async #names(bucket: string): Promise<{ subject: string; name: string }[]> {
    const subjects = await subjectsOf(this.#broker, streamOf(bucket), `$O.${bucket}.M.*`);
    return subjects.map((subject) => ({
      subject,
      name: Buffer.from(subject.slice(subject.lastIndexOf('.') + 1), 'base64url').toString(),
    }));
  }

  /** Deletes the chunks first: if it is interrupted, the metadata still leads to them. */
  async #remove(bucket: string, subject: string): Promise<void> {
    const info = await this.#info(bucket, subject, true);
    for (const filter of [...(info === undefined ? [] : [chunkSubject(bucket, info.nuid)]), subject])
      await purge(this.#broker, streamOf(bucket), filter);
  }

  async #info(bucket: string, subject: string, deleted = false): Promise<Info | undefined> {
    const stored = await lastBySubject(this.#broker, streamOf(bucket), subject);
    const info = stored === undefined ? undefined : check(Info, parseJson(stored.data));
    return info?.ok !== true || (info.value.deleted === true && !deleted) ? undefined : info.value;
  }

  #open(name: string): Promise<ObjectStore> {
    const bucket = bucketOf(name);
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

/** For each chunk, the library copies the whole buffer that it was given. Small slices keep that cheap. */
function* inSlices(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += SLICE_BYTES) yield piece.subarray(at, at + SLICE_BYTES);
}

const bucketOf = (name: string): string => (name.startsWith(OF_EVENTS) ? BUCKET.blobs : BUCKET.privateBlobs);

// The layout is that of NATS object stores (NATS ADR-20), so that other clients can read them.
const streamOf = (bucket: string): string => `OBJ_${bucket}`;
const chunkSubject = (bucket: string, nuid: string): string => `$O.${bucket}.C.${nuid}`;
const metaSubject = (bucket: string, name: string): string =>
  `$O.${bucket}.M.${Buffer.from(name).toString('base64').replaceAll('+', '-').replaceAll('/', '_')}`;

const missingBlob = (name: string): BrokerError =>
  new BrokerError('refused', `The blob ${name} is not in the object store: it was deleted or replaced`);
