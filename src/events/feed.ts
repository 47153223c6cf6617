import type { HubEvent } from './hub-event.js';
import type { EventHub } from './hub.js';
import type { Limit } from '../limit.js';

/** Receives the events of a feed. */
export interface FeedSink {
  deliver(event: HubEvent): void;
  /** Backpressure: what to wait for before more stored events are delivered. Undefined: nothing. */
  ready?(): Promise<void> | undefined;
  /** Called when all stored events were delivered and live events follow. */
  live?(): void;
}

/**
 * Delivers the matching events after a sequence, first stored, then live, with no missed or duplicate events. It reads the stream page by
 * page until the hub's memory covers the rest, delivers that, and subscribes to the hub in the same turn of the event loop.
 */
export class Feed {
  readonly #hub: EventHub;
  /** Limits concurrent page reads at the broker. */
  readonly #limit: Limit;
  readonly #filter: string;
  readonly #matches: (event: HubEvent) => boolean;
  readonly #sink: FeedSink;
  #leave: (() => void) | undefined;
  #stopped = false;

  /** @param filter a subject filter for the broker. It must cover all events that `matches` accepts. */
  constructor(options: {
    hub: EventHub;
    limit: Limit;
    filter: string;
    matches: (event: HubEvent) => boolean;
    sink: FeedSink;
  }) {
    this.#hub = options.hub;
    this.#limit = options.limit;
    this.#filter = options.filter;
    this.#matches = options.matches;
    this.#sink = options.sink;
  }

  /** Resolves when it is live or stopped. @throws {BrokerError} */
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

  /** Stops deliveries. Idempotent. */
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

  #offer(event: HubEvent): void {
    if (!this.#stopped && this.#matches(event)) this.#sink.deliver(event);
  }
}
