import type { Logger } from 'pino';
import { BlobRef, LARGE_BODY_BYTES } from '../../contracts/wire/blob.js';
import { check } from '../../contracts/wire/check.js';
import { withBody, type StoredEvent } from '../../contracts/events/events.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import { RECENT_OUTCOMES_MS } from '../../contracts/api/ws.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import { asEvent } from '../broker/events.js';
import { parseJson, parseText, textOf } from '../json.js';
import { feedSource } from '../broker/feed-source.js';
import { OrderedFeed, type FeedMessage } from '../broker/ordered-feed.js';
import { HubEvent } from './hub-event.js';
import { encodeCursor, type StreamPosition } from '../../contracts/wire/cursor.js';
import { eventIdAt, isSameHistory } from './history.js';
import { readStream, type PageGate } from '../broker/replay.js';
import { EventRing } from './ring.js';

export type EventListener = (event: HubEvent) => void;

const CHECK_MS = 1_000;
const MAX_RECENT = 10_000;

/** Receives all events once, in order and complete, for all clients of this process. */
export class EventHub {
  readonly #broker: Broker;
  readonly #blobs: Blobs;
  readonly #log: Logger;
  readonly #feed: OrderedFeed<HubEvent>;
  readonly #ring = new EventRing();
  readonly #listeners = new Set<EventListener>();
  readonly #resets = new Set<() => void>();
  #recent: { at: number; event: HubEvent }[] = [];
  /** The last delivered event. */
  #last: Pick<StreamPosition, 'seq' | 'eventId'> = { seq: 0 };
  /** The position when the connection was lost, until the stream is known to be the same. */
  #unproven: StreamPosition | undefined;
  #forgetConnection: (() => void) | undefined;

  constructor(broker: Broker, blobs: Blobs, log: Logger) {
    this.#broker = broker;
    this.#blobs = blobs;
    this.#log = log;
    this.#feed = new OrderedFeed({
      source: feedSource(broker, {
        stream: STREAM.events,
        stored: SUBJECT.eventsAll,
        republished: SUBJECT.eventsAll,
      }),
      prepare: (message) => this.#bridge(message),
      deliver: (event) => this.#deliver(event),
      reset: () => this.#reset(),
      isSame: (lastSeq) => this.#isSame(lastSeq),
      checkMs: CHECK_MS,
      log: log.child({ stream: STREAM.events }),
    });
  }

  /** Starts at the current end of the stream. @throws {BrokerError} */
  async start(): Promise<void> {
    await this.#feed.start('end');
    const { seq } = this.#feed.position;
    const eventId = await eventIdAt(this.#broker, seq);
    if (this.#feed.position.seq === seq) this.#last = { seq, eventId };
    this.#forgetConnection = this.#broker.onConnection((connected) => {
      // During an outage the broker may be restored from a backup and grow past this position.
      if (!connected) this.#unproven ??= this.position;
    });
  }

  async stop(): Promise<void> {
    this.#forgetConnection?.();
    await this.#feed.stop();
  }

  /** The position of the last delivered event. */
  get position(): StreamPosition {
    const position = this.#feed.position;
    return position.seq === this.#last.seq ? { ...position, ...this.#last } : position;
  }

  /** A cursor after the last delivered event. */
  cursor(): string {
    return encodeCursor(this.#feed.position);
  }

  /** Calls `listener` for each new event, in order. @returns a function that unsubscribes. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` when the stream was replaced, and all state derived from it is void. @returns a function that unsubscribes. */
  onReset(listener: () => void): () => void {
    this.#resets.add(listener);
    return () => this.#resets.delete(listener);
  }

  /** The events after `seq`, if all of them are in memory; else undefined. */
  recentAfter(seq: number): readonly HubEvent[] | undefined {
    return this.#ring.after(seq, this.#feed.position.seq);
  }

  /** Outcomes of the last few seconds, for clients that spawn a task and then connect. */
  recentOutcomes(): readonly HubEvent[] {
    const since = performance.now() - RECENT_OUTCOMES_MS;
    return this.#recent.filter(({ at }) => at >= since).map(({ event }) => event);
  }

  /** Reads the events with `after` < sequence <= `upTo` from the broker. @throws {BrokerError} */
  async *read(filter: string, after: number, upTo: number, gate?: PageGate): AsyncGenerator<HubEvent> {
    for await (const stored of readStream(this.#broker, STREAM.events, filter, after, upTo, gate))
      yield await this.#bridge(stored);
  }

  /**
   * Resolves when all events stored by now were delivered; with false if the broker was unavailable. For cursors from another API, whose
   * hub may be ahead of this one.
   */
  catchUp(): Promise<boolean> {
    return this.#feed.catchUp();
  }

  /** Removes deleted events from memory. */
  #forget({ data }: HubEvent): void {
    this.#ring.clear();
    this.#recent = this.#recent.filter(({ event }) => event.data['task_id'] !== data['task_id']);
  }

  #deliver(event: HubEvent): void {
    this.#last = { seq: event.seq, eventId: event.id };
    if (isDeletion(event)) this.#forget(event);
    this.#ring.push(event);
    const status = statusOfEvent(event.type);
    if (status !== undefined && isEnded(status)) this.#remember(event);
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#log.error({ err: error, seq: event.seq }, 'a listener failed to handle an event');
      }
    }
  }

  #remember(event: HubEvent): void {
    const now = performance.now();
    this.#recent.push({ at: now, event });
    const oldest = this.#recent[0];
    if (oldest !== undefined && (oldest.at < now - 2 * RECENT_OUTCOMES_MS || this.#recent.length > MAX_RECENT)) {
      this.#recent = this.#recent.filter(({ at }) => at >= now - RECENT_OUTCOMES_MS).slice(-MAX_RECENT / 2);
    }
  }

  /** Whether the stream still has the last event from before an outage. The check is postponed while the stream is shorter. */
  async #isSame(lastSeq: number): Promise<boolean> {
    if (this.#unproven === undefined || lastSeq < this.#unproven.seq) return true;
    const isSame = await isSameHistory(this.#broker, this.#unproven);
    this.#unproven = undefined;
    return isSame;
  }

  #reset(): void {
    this.#unproven = undefined;
    this.#ring.clear();
    this.#recent = [];
    this.#last = { seq: 0 };
    for (const listener of this.#resets) listener();
  }

  /** Parses an event, and adds its body from the blob store unless that is very large. */
  #bridge({ seq, subject, data }: Pick<FeedMessage, 'seq' | 'subject' | 'data'>): HubEvent | Promise<HubEvent> {
    const { text, event } = parseEvent(data) ?? UNREADABLE;
    const { incarnation } = this.#feed.position;
    const bridged = new HubEvent({ incarnation, seq }, subject, text, event);
    const ref = refOf(event);
    return ref === undefined || ref.size > LARGE_BODY_BYTES ? bridged : this.#withBody(bridged, event, ref);
  }

  async #withBody(bridged: HubEvent, event: StoredEvent, ref: BlobRef): Promise<HubEvent> {
    const body = await this.#body(ref);
    // If the body was deleted, the event is delivered with the reference.
    if (body === undefined) return bridged;
    const { ref: _ref, ...rest } = event.data as Record<string, unknown>;
    const whole = { ...event, data: withBody(event.type, rest, body) } as unknown as StoredEvent;
    const { incarnation } = this.#feed.position;
    return new HubEvent({ incarnation, seq: bridged.seq }, bridged.subject, JSON.stringify(whole), whole);
  }

  /** @returns undefined if the body does not exist or is malformed. @throws {BrokerError} if the broker is unavailable. */
  async #body(ref: BlobRef): Promise<unknown> {
    try {
      const body = parseJson(await this.#blobs.get(ref));
      if (body !== undefined) return body;
      this.#log.error({ blob: ref.name }, "an event's body is not JSON");
    } catch (error) {
      if (isTransient(error)) throw error;
      this.#log.error({ err: error, blob: ref.name }, "an event's body cannot be read");
    }
    return undefined;
  }
}

/** Whether earlier events were deleted with this one. */
const isDeletion = ({ type, data }: HubEvent): boolean =>
  type === 'TASK_DELETED' ||
  type === 'CONVERSATION_DELETED' ||
  (type === 'AGENT_TERMINATED' && data['reason'] === 'removed');

interface Parsed {
  readonly text: string;
  readonly event: StoredEvent;
}

function parseEvent(data: Uint8Array): Parsed | undefined {
  const text = textOf(data);
  const event = text === undefined ? undefined : asEvent(parseText(text));
  return text === undefined || event === undefined ? undefined : { text, event };
}

/** Replaces a malformed event, so that clients still see its sequence. */
const UNREADABLE: Parsed = (() => {
  const event = { v: 1, id: '', type: 'UNREADABLE', timestamp: new Date(0).toISOString(), data: {} };
  return { text: JSON.stringify(event), event: event as unknown as StoredEvent };
})();

function refOf(event: StoredEvent): BlobRef | undefined {
  const ref = 'ref' in event.data ? check(BlobRef, event.data.ref) : undefined;
  return ref?.ok === true ? ref.value : undefined;
}
