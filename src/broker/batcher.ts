import { isBrokerError, isTooLarge, BrokerError } from './errors.js';
import { MAX_BATCH, type Publication, type PublishAck, type Publisher } from './publish.js';

interface Entry {
  readonly publication: Publication;
  readonly bytes: number;
  readonly resolve: (ack: PublishAck) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * An atomic batch costs one file sync at the broker, but takes as long as several single messages (docs/design/facts.md#batch-cost).
 * Fewer messages than this are published singly and concurrently.
 */
const MIN_BATCH = 12;
const MAX_BYTES = 4 * 1_048_576;
/** The next batch is prepared and sent while the broker syncs the last one. */
const MAX_FLIGHTS = 2;
/** Refusals that a single entry may have caused. The broker stored nothing of the batch. */
const RETRIED_SINGLY = ['conflict', 'duplicate', 'full'] as const;

/**
 * Publishes to one stream. Messages that arrive while a batch is in flight share the next batch. If the broker refuses a batch because
 * of one entry, all entries are published singly, so only the faulty one fails.
 */
export class Batcher {
  readonly #publisher: Publisher;
  #entries: Entry[] = [];
  #flights = 0;

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  /** @throws {BrokerError} */
  publish(publication: Publication): Promise<PublishAck> {
    return new Promise((resolve, reject) => {
      this.#entries.push({ publication, bytes: publication.payload.length, resolve, reject });
      this.#launch();
    });
  }

  #launch(): void {
    if (this.#flights >= MAX_FLIGHTS) return;
    this.#flights++;
    // Messages of the same event-loop turn share a batch.
    setImmediate(() => void this.#fly());
  }

  async #fly(): Promise<void> {
    while (this.#entries.length > 0) {
      const entries = this.#entries.splice(0, batchLength(this.#entries));
      await (entries.length < MIN_BATCH ? this.#singly(entries) : this.#together(entries));
    }
    this.#flights--;
  }

  async #together(entries: readonly Entry[]): Promise<void> {
    try {
      const last = await this.#publisher.publishBatch(entries.map(({ publication }) => publication));
      // The acknowledgement has the last sequence. The sequences of a batch are contiguous.
      entries.forEach((entry, index) => entry.resolve({ ...last, seq: last.seq - (entries.length - 1 - index) }));
    } catch (error) {
      if (isTooLarge(error) || RETRIED_SINGLY.some((kind) => isBrokerError(error, kind))) return this.#singly(entries);
      for (const entry of entries) entry.reject(error);
    }
  }

  async #singly(entries: readonly Entry[]): Promise<void> {
    await Promise.all(
      entries.map(({ publication, resolve, reject }) =>
        this.#publisher
          .publish(publication)
          .then(resolve, (error: unknown) =>
            reject(
              error instanceof BrokerError
                ? error
                : new BrokerError('refused', 'The message could not be published', { cause: error }),
            ),
          ),
      ),
    );
  }
}

/** The number of leading entries that fit into one batch: at least 1 unless there are none. */
export function batchLength(entries: readonly { bytes: number }[]): number {
  let bytes = 0;
  const end = entries.findIndex((entry, index) => {
    bytes += entry.bytes;
    return index > 0 && (index >= MAX_BATCH || bytes > MAX_BYTES);
  });
  return end === -1 ? entries.length : end;
}

/** Splits publications into batches with the limits of `batchLength`. It reads the iterable lazily. */
export function* batchesOf(publications: Iterable<Publication>): Generator<Publication[]> {
  let batch: Publication[] = [];
  let bytes = 0;
  for (const publication of publications) {
    const more = publication.payload.length;
    if (batch.length > 0 && (batch.length >= MAX_BATCH || bytes + more > MAX_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(publication);
    bytes += more;
  }
  if (batch.length > 0) yield batch;
}
