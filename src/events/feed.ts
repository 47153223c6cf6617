import type { BridgedEvent } from './bridged.js';
import type { EventHub } from './hub.js';
import type { Limit } from '../limit.js';

/** Where a feed delivers to. */
export interface FeedSink {
  deliver(event: BridgedEvent): void;
  /** What to wait for before more of the past is delivered; undefined: nothing. */
  ready?(): Promise<void> | undefined;
  /** All of the past was delivered; what follows comes as it happens. */
  live?(): void;
}

/**
 * The events that match, after a sequence, from the past into the present with no gap and no repeat: it reads the stream page by page
 * until the hub's memory covers the rest, delivers that, and joins the hub in the same turn of the event loop.
 */
export class Feed {
  readonly #hub: EventHub;
  /** Of the pages that are asked of the broker at once. */
  readonly #limit: Limit;
  readonly #filter: string;
  readonly #matches: (event: BridgedEvent) => boolean;
  readonly #sink: FeedSink;
  #leave: (() => void) | undefined;
  #stopped = false;

  /** @param filter what to ask the broker for: all that matches must match it too. */
  constructor(options: {
    hub: EventHub;
    limit: Limit;
    filter: string;
    matches: (event: BridgedEvent) => boolean;
    sink: FeedSink;
  }) {
    this.#hub = options.hub;
    this.#limit = options.limit;
    this.#filter = options.filter;
    this.#matches = options.matches;
    this.#sink = options.sink;
  }

  /** Resolves once it is live, or stopped. @throws {BrokerError} */
  async start(after: number): Promise<void> {
    let at = after;
    while (!this.#stopped) {
      const recent = this.#hub.recentAfter(at);
      if (recent !== undefined) {
        for (const event of recent) this.#offer(event);
        if (this.#stopped) return;
        this.#leave = this.#hub.subscribe((event) => this.#offer(event));
        this.#sink.live?.();
        return;
      }
      const upTo = this.#hub.position.seq;
      await this.#replay(at, upTo);
      at = upTo;
    }
  }

  /** Delivers nothing more. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#leave?.();
    this.#leave = undefined;
  }

  async #replay(after: number, upTo: number): Promise<void> {
    for await (const event of this.#hub.read(this.#filter, after, upTo, this.#limit.run)) {
      if (this.#stopped) return;
      this.#offer(event);
      await this.#sink.ready?.();
    }
  }

  #offer(event: BridgedEvent): void {
    if (!this.#stopped && this.#matches(event)) this.#sink.deliver(event);
  }
}
