import type { HubEvent } from './hub-event.js';

const MAX_EVENTS = 8_192;
const MAX_BYTES = 32 * 1_048_576;

/** The latest events without gaps, so that most reconnecting clients do not read from the broker. Bounded in count and bytes. */
export class EventRing {
  #events: HubEvent[] = [];
  #head = 0;
  #bytes = 0;

  push(event: HubEvent): void {
    this.#events.push(event);
    this.#bytes += event.bytes;
    while (this.#events.length - this.#head > MAX_EVENTS || this.#bytes > MAX_BYTES) this.#drop();
    // Amortized: the dropped front is released when it is as long as the rest. The comparison must be relative, not with a fixed count, or
    // a few large events would stay in memory long after they were dropped.
    if (this.#head > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The events after `seq`; undefined if some were dropped. @param latest the stream's last sequence. */
  after(seq: number, latest: number): readonly HubEvent[] | undefined {
    if (seq >= latest) return [];
    const first = this.#events[this.#head];
    if (first === undefined || seq + 1 < first.seq) return undefined;
    // Sequences have gaps where messages were deleted, so use a binary search.
    let low = this.#head;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle]?.seq ?? Infinity) <= seq) low = middle + 1;
      else high = middle;
    }
    return this.#events.slice(low);
  }

  clear(): void {
    this.#events = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  #drop(): void {
    this.#bytes -= this.#events[this.#head]?.bytes ?? 0;
    this.#head++;
  }
}
