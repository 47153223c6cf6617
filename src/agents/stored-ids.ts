import type { StoredEvent } from '../../contracts/events/events.js';
import type { Broker } from '../broker/connect.js';
import { readStream } from '../broker/replay.js';
import { parseJson } from '../json.js';

interface Read {
  /** It is known what came after this, up to `upTo`. */
  from: number;
  upTo: number;
  /** With their places, in order. */
  readonly ids: Map<string, number>;
}

/** What is remembered at the most: the last ids of one subject, and subjects. */
const MOST_IDS = 20_000;
const MOST_SUBJECTS = 20;

/**
 * Looks for messages by their ids. What was read of a subject is remembered: after an outage many are looked for, and what came
 * meanwhile is read once for all of them.
 */
export class StoredIds {
  readonly #broker: Broker;
  readonly #stream: string;
  /** The one asked for last comes last. */
  readonly #read = new Map<string, Read>();
  readonly #reading = new Map<string, Promise<unknown>>();

  constructor(broker: Broker, stream: string) {
    this.#broker = broker;
    this.#stream = stream;
  }

  /** Whether an owner's message is on `subject` after the place `after`. @throws {BrokerError} */
  async has(subject: string, owner: string, id: string, after: number): Promise<boolean> {
    // One reads at a time, and the next goes on from there.
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
    // The one asked for last comes last.
    this.#read.delete(subject);
    this.#read.set(subject, read);
    const [oldest] = this.#read.keys();
    if (this.#read.size > MOST_SUBJECTS && oldest !== undefined) this.#read.delete(oldest);
    const at = read.ids.get(id);
    if (at !== undefined) return at > after;
    return this.#readOn(subject, read, id);
  }

  async #readOn(subject: string, read: Read, id: string): Promise<boolean> {
    let found = false;
    const stored = readStream(this.#broker, this.#stream, subject, read.upTo, Number.MAX_SAFE_INTEGER);
    for await (const { seq, data } of stored) {
      const event = parseJson(data) as Partial<StoredEvent<'AGENT_MESSAGE'>> | undefined;
      // An id that a client chose is its owner's.
      const each = `${event?.data?.owner}/${event?.id}`;
      found ||= each === id;
      read.upTo = seq;
      read.ids.set(each, seq);
      if (read.ids.size <= MOST_IDS) continue;
      const [first] = read.ids;
      if (first === undefined) continue;
      [, read.from] = first;
      read.ids.delete(first[0]);
    }
    return found;
  }
}
