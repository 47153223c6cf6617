import { isBrokerError, isTooLarge, BrokerError } from './errors.js';
import { MAX_BATCH, type Publication, type PublishAck, type Publisher } from './publish.js';

interface Entry {
  readonly publication: Publication;
  readonly bytes: number;
  readonly resolve: (ack: PublishAck) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * An atomic batch is one synchronisation of the broker's file, but takes as long as some single ones
 * (docs/design/facts.md#batch-cost): fewer than this go alone, side by side.
 */
const WORTH_A_BATCH = 12;
const MAX_BYTES = 4 * 1_048_576;
/** While the broker syncs one batch, the next is made and sent. */
const MAX_FLIGHTS = 2;
/** Refusals that one entry may be the reason of: nothing is stored. */
const ONE_BY_ONE = ['conflict', 'duplicate', 'full'] as const;

/**
 * Publishes to one stream: at once when alone, and what arrives while a batch is under way together in the next. A batch that is
 * refused for one entry is sent again one by one, so that its fault is its own.
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
    // What arrives in the same turn of the event loop goes together.
    setImmediate(() => void this.#fly());
  }

  async #fly(): Promise<void> {
    while (this.#entries.length > 0) {
      const entries = this.#entries.splice(0, batchLength(this.#entries));
      await (entries.length < WORTH_A_BATCH ? this.#singly(entries) : this.#together(entries));
    }
    this.#flights--;
  }

  async #together(entries: readonly Entry[]): Promise<void> {
    try {
      const last = await this.#publisher.publishBatch(entries.map(({ publication }) => publication));
      // Those before the last precede it without a gap.
      entries.forEach((entry, index) => entry.resolve({ ...last, seq: last.seq - (entries.length - 1 - index) }));
    } catch (error) {
      if (isTooLarge(error) || ONE_BY_ONE.some((kind) => isBrokerError(error, kind))) return this.#singly(entries);
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

/** How many of the first entries go together: always at least one. */
export function batchLength(entries: readonly { bytes: number }[]): number {
  let bytes = 0;
  const end = entries.findIndex((entry, index) => {
    bytes += entry.bytes;
    return index > 0 && (index >= MAX_BATCH || bytes > MAX_BYTES);
  });
  return end === -1 ? entries.length : end;
}

/** Cuts publications as `batchLength` does, and asks for each only when its batch is due. */
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
