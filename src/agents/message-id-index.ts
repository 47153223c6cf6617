import type { StoredEvent } from '../../contracts/events/events.js';
import type { Broker } from '../broker/connect.js';
import { readStream } from '../broker/replay.js';
import { parseJson } from '../json.js';

interface Read {
  /** `ids` is complete after this sequence, up to `upTo`. */
  from: number;
  upTo: number;
  /** Ids with their sequences, ascending. */
  readonly ids: Map<string, number>;
}

/** Limits of the cache: ids per subject, and subjects. */
const MAX_IDS = 20_000;
const MAX_SUBJECTS = 20;

/**
 * Finds stored messages by id. It caches the ids of each subject, because after an outage many lookups of the same subject follow each
 * other.
 */
export class MessageIdIndex {
  readonly #broker: Broker;
  readonly #stream: string;
  /** Least recently used first. */
  readonly #read = new Map<string, Read>();
  readonly #reading = new Map<string, Promise<unknown>>();

  constructor(broker: Broker, stream: string) {
    this.#broker = broker;
    this.#stream = stream;
  }

  /** Whether an owner's message is stored on `subject` after the sequence `after`. @throws {BrokerError} */
  async has(subject: string, owner: string, id: string, after: number): Promise<boolean> {
    // One reader per subject at a time; the next one continues where it stopped.
    const before = this.#reading.get(subject) ?? Promise.resolve();
    const found = before.then(() => this.#look(subject, `${owner}/${id}`, after));
    const settled = found.catch(() => undefined);
    this.#reading.set(subject, settled);
    try {
      return await found;
    } finally {
      if (this.#reading.get(subject) === settled) this.#reading.delete(subject);
    }
  }

  async #look(subject: string, id: string, after: number): Promise<boolean> {
    const known = this.#read.get(subject);
    const read: Read =
      known !== undefined && known.from <= after && after <= known.upTo
        ? known
        : { from: after, upTo: after, ids: new Map() };
    this.#read.delete(subject);
    this.#read.set(subject, read);
    const [oldest] = this.#read.keys();
    if (this.#read.size > MAX_SUBJECTS && oldest !== undefined) this.#read.delete(oldest);
    const at = read.ids.get(id);
    if (at !== undefined) return at > after;
    return this.#readOn(subject, read, id);
  }

  async #readOn(subject: string, read: Read, id: string): Promise<boolean> {
    let found = false;
    const stored = readStream(this.#broker, this.#stream, subject, read.upTo, Number.MAX_SAFE_INTEGER);
    for await (const { seq, data } of stored) {
      const event = parseJson(data) as Partial<StoredEvent<'AGENT_MESSAGE'>> | undefined;
      // Clients choose ids, so two owners may use the same one.
      const each = `${event?.data?.owner}/${event?.id}`;
      found ||= each === id;
      read.upTo = seq;
      read.ids.set(each, seq);
      if (read.ids.size <= MAX_IDS) continue;
      const [first] = read.ids;
      if (first === undefined) continue;
      [, read.from] = first;
      read.ids.delete(first[0]);
    }
    return found;
  }
}
