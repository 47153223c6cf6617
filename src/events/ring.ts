import type { BridgedEvent } from './bridged.js';

const MAX_EVENTS = 8_192;
const MAX_BYTES = 32 * 1_048_576;

/** The latest events, without a gap, so that most who come back need not ask the broker. Bounded in count and bytes. */
export class EventRing {
  #events: BridgedEvent[] = [];
  #head = 0;
  #bytes = 0;

  push(event: BridgedEvent): void {
    this.#events.push(event);
    this.#bytes += event.bytes;
    while (this.#events.length - this.#head > MAX_EVENTS || this.#bytes > MAX_BYTES) this.#drop();
    // Amortised: the dropped front is cut off once it is as long as the rest. Until then it is still in memory, so by no other measure:
    // a few large events are dropped by their bytes long before there are many of them.
    if (this.#head > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
  }

  /** All after `seq`; undefined when some of them are not held any more. `latest` is the stream's last sequence. */
  after(seq: number, latest: number): readonly BridgedEvent[] | undefined {
    if (seq >= latest) return [];
    const first = this.#events[this.#head];
    if (first === undefined || seq + 1 < first.seq) return undefined;
    // Sequences have gaps where messages were deleted, so look for the place.
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
