import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { BlobRef, LARGE_BODY_BYTES } from '../../contracts/wire/blob.js';
import { check } from '../../contracts/wire/check.js';
import { withBody, type StoredEvent } from '../../contracts/events/events.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import { RECENT_OUTCOMES_MS } from '../../contracts/api/ws.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { isBrokerError } from '../broker/errors.js';
import { asEvent } from '../broker/events.js';
import { parseJson, parseText, textOf } from '../json.js';
import { streamPosition } from '../broker/read.js';
import { BridgedEvent } from './bridged.js';
import { encodeCursor, incarnationOf, type Position } from '../../contracts/wire/cursor.js';
import { eventIdAt, isOfThisHistory } from './history.js';
import { readStream, type PageGate } from '../broker/replay.js';
import { EventRing } from './ring.js';

export type EventListener = (event: BridgedEvent) => void;

/** No successor reveals a lost last message, so an idle hub compares itself with the stream (docs/design/broker-protocol.md#lost-last-message). */
const IDLE_CHECK_MS = 1_000;
/** A hub that is never idle compares all the same, so often: a stream made anew under load shows in nothing else. */
const CHECKS_WHEN_BUSY = 10;
/** Comparisons in succession that find the stream behind what came from it. */
const BEHIND_FOR_GOOD = 3;
const MAX_RECENT = 10_000;

interface Incoming {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
}

/**
 * All events of the cluster, in order and without a gap, by one plain subscription of what the broker republishes.
 * It proves its completeness by the sequences, and fetches what is missing from the stream.
 */
export class EventHub {
  readonly #broker: Broker;
  readonly #blobs: Blobs;
  readonly #log: Logger;
  readonly #ring = new EventRing();
  readonly #listeners = new Set<EventListener>();
  readonly #resets = new Set<() => void>();
  #recent: { at: number; event: BridgedEvent }[] = [];
  #position: Position = { incarnation: '', seq: 0 };
  /** The position at the loss of the connection, until the stream was found to be the same still. */
  #unproven: Position | undefined;
  #waiting: Incoming[] = [];
  #draining: Promise<unknown> | undefined;
  #catchingUp: Promise<boolean> | undefined;
  #started = false;
  #stopped = false;
  #quiet = true;
  #checksSkipped = 0;
  #timesBehind = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopListening: (() => void)[] = [];

  constructor(broker: Broker, blobs: Blobs, log: Logger) {
    this.#broker = broker;
    this.#blobs = blobs;
    this.#log = log;
  }

  /** Begins with the stream's present end. @throws {BrokerError} */
  async start(): Promise<void> {
    const subscription = this.#broker.nc.subscribe(SUBJECT.eventsAll, {
      callback: (_error, msg) => this.#onMessage(msg),
    });
    this.#stopListening.push(() => subscription.unsubscribe());
    await this.#broker.nc.flush();
    const { created, lastSeq } = await streamPosition(this.#broker, STREAM.events);
    const eventId = await eventIdAt(this.#broker, lastSeq);
    this.#position = { incarnation: incarnationOf(created), seq: lastSeq, eventId };
    this.#started = true;
    this.#drain();
    this.#stopListening.push(
      this.#broker.onConnection((connected) => {
        if (connected) void this.#compare();
        // Meanwhile the broker may be restored from a backup, and grow past our position before we are back.
        else this.#unproven ??= this.#position;
      }),
    );
    this.#timer = setInterval(() => {
      if (this.#quiet || ++this.#checksSkipped >= CHECKS_WHEN_BUSY) void this.#compare();
      this.#quiet = true;
    }, IDLE_CHECK_MS);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const stop of this.#stopListening.splice(0)) stop();
    await this.#draining;
  }

  /** Of the last event that was delivered to the listeners. */
  get position(): Position {
    return this.#position;
  }

  /** A cursor after all that was delivered so far. */
  cursor(): string {
    return encodeCursor(this.#position);
  }

  /** Calls `listener` for each event from now on, in order. Returns how to stop that. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` when the stream turns out to be another one: all that was derived from it is void. */
  onReset(listener: () => void): () => void {
    this.#resets.add(listener);
    return () => this.#resets.delete(listener);
  }

  /** What is in memory of the events after `seq`; undefined when that is not all of them. */
  recentAfter(seq: number): readonly BridgedEvent[] | undefined {
    return this.#ring.after(seq, this.#position.seq);
  }

  /** Outcomes of the last few seconds, for clients that post and then connect. */
  recentOutcomes(): readonly BridgedEvent[] {
    const since = performance.now() - RECENT_OUTCOMES_MS;
    return this.#recent.filter(({ at }) => at >= since).map(({ event }) => event);
  }

  /** Stored events after `after` up to `upTo`, from the broker. @throws {BrokerError} */
  async *read(filter: string, after: number, upTo: number, gate?: PageGate): AsyncGenerator<BridgedEvent> {
    for await (const stored of readStream(this.#broker, STREAM.events, filter, after, upTo, gate))
      yield await this.#bridge(stored);
  }

  /**
   * Resolves when all that the stream holds by now was delivered; with false when that could not be found out, as the broker is
   * away. For a cursor that came from another API, whose hub may be ahead of this one.
   */
  catchUp(): Promise<boolean> {
    this.#catchingUp ??= this.#catchUp();
    return this.#catchingUp;
  }

  async #catchUp(): Promise<boolean> {
    do await this.#draining;
    while (this.#draining !== undefined);
    // Who asks from here on may know of more than the comparison that begins now.
    this.#catchingUp = undefined;
    return this.#compare();
  }

  #onMessage(msg: Msg): void {
    const seq = Number(msg.headers?.get(HEADER.seq));
    // Without a sequence it is not the broker that republished it.
    if (!Number.isSafeInteger(seq) || seq <= 0) return;
    this.#quiet = false;
    this.#waiting.push({ seq, subject: msg.subject, data: msg.data });
    if (this.#started) this.#drain();
  }

  /** What was deleted is not to be read from our memory either. */
  #forget({ data }: BridgedEvent): void {
    this.#ring.clear();
    this.#recent = this.#recent.filter(({ event }) => event.data['task_id'] !== data['task_id']);
  }

  #drain(): void {
    if (this.#draining !== undefined || this.#stopped) return;
    // The usual case needs no promise: the next event, whole.
    while (this.#waiting.length > 0) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      if (next.seq > this.#position.seq) {
        if (next.seq !== this.#position.seq + 1) break;
        const parsed = parseEvent(next.data);
        if (parsed === undefined || refOf(parsed.event) !== undefined) break;
        this.#deliver(new BridgedEvent({ ...this.#position, seq: next.seq }, next.subject, parsed.text, parsed.event));
      }
      this.#waiting.shift();
    }
    if (this.#waiting.length > 0) this.#draining = this.#drainSlowly();
  }

  async #drainSlowly(): Promise<void> {
    try {
      for (let next = this.#waiting[0]; next !== undefined && !this.#stopped; next = this.#waiting[0]) {
        if (next.seq > this.#position.seq + 1) await this.#fill(next.seq - 1);
        if (next.seq > this.#position.seq) this.#deliver(await this.#bridge(next));
        this.#waiting.shift();
      }
    } catch (error) {
      // What waits is fetched again by the next comparison.
      this.#waiting = [];
      this.#log.warn({ err: error }, 'events are missing and could not be fetched; trying again');
    } finally {
      this.#draining = undefined;
    }
  }

  /** Fetches and delivers what is missing up to `upTo`. */
  async #fill(upTo: number): Promise<void> {
    this.#log.info({ from: this.#position.seq + 1, to: upTo }, 'fetching missed events');
    for await (const event of this.read(SUBJECT.eventsAll, this.#position.seq, upTo)) this.#deliver(event);
    // What is not there was deleted.
    if (this.#position.seq < upTo) this.#position = { ...this.#position, seq: upTo, eventId: undefined };
  }

  #deliver(event: BridgedEvent): void {
    this.#position = { ...this.#position, seq: event.seq, eventId: event.id };
    if (isDeletion(event)) this.#forget(event);
    this.#ring.push(event);
    const status = statusOfEvent(event.type);
    if (status !== undefined && isEnded(status)) this.#remember(event);
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#log.error({ err: error, seq: event.seq }, 'a listener failed on an event');
      }
    }
  }

  #remember(event: BridgedEvent): void {
    const now = performance.now();
    this.#recent.push({ at: now, event });
    const oldest = this.#recent[0];
    if (oldest !== undefined && (oldest.at < now - 2 * RECENT_OUTCOMES_MS || this.#recent.length > MAX_RECENT)) {
      this.#recent = this.#recent.filter(({ at }) => at >= now - RECENT_OUTCOMES_MS).slice(-MAX_RECENT / 2);
    }
  }

  /** Compares with the stream's end, and fetches what never came, unless something is being fetched. @returns whether it could. */
  async #compare(): Promise<boolean> {
    if (this.#draining !== undefined || this.#stopped || !this.#broker.connected()) return false;
    this.#checksSkipped = 0;
    const comparing = this.#compareSlowly();
    this.#draining = comparing.finally(() => {
      this.#draining = undefined;
      this.#drain();
    });
    return comparing;
  }

  async #compareSlowly(): Promise<boolean> {
    try {
      const { created, lastSeq } = await streamPosition(this.#broker, STREAM.events);
      const incarnation = incarnationOf(created);
      if (!(await this.#isOurs(lastSeq)) || this.#isAnother(incarnation, lastSeq)) this.#reset(incarnation);
      if (lastSeq > this.#position.seq) await this.#fill(lastSeq);
      return true;
    } catch (error) {
      this.#log.warn({ err: error }, 'the event stream could not be compared with; trying again');
      return false;
    }
  }

  /** Whether the stream still has the event that was the last before an outage. While it does not reach so far, that stays open. */
  async #isOurs(lastSeq: number): Promise<boolean> {
    if (this.#unproven === undefined || lastSeq < this.#unproven.seq) return true;
    const isOurs = await isOfThisHistory(this.#broker, this.#unproven);
    this.#unproven = undefined;
    return isOurs;
  }

  /** A stream made anew, or one that has lost its end. A leader that was deposed and doesn't know it yet is behind only for a moment. */
  #isAnother(incarnation: string, lastSeq: number): boolean {
    if (incarnation !== this.#position.incarnation) return true;
    this.#timesBehind = lastSeq < this.#position.seq ? this.#timesBehind + 1 : 0;
    return this.#timesBehind >= BEHIND_FOR_GOOD;
  }

  #reset(incarnation: string): void {
    this.#timesBehind = 0;
    this.#unproven = undefined;
    this.#log.warn({ was: this.#position, incarnation }, 'the event stream is another one; beginning anew');
    this.#ring.clear();
    this.#recent = [];
    this.#waiting = [];
    this.#position = { incarnation, seq: 0 };
    for (const listener of this.#resets) listener();
  }

  /** With the body put back that was too large for a message. */
  async #bridge({ seq, subject, data }: Incoming): Promise<BridgedEvent> {
    const parsed = parseEvent(data) ?? UNREADABLE;
    const ref = refOf(parsed.event);
    const position = { ...this.#position, seq };
    if (ref === undefined || ref.size > LARGE_BODY_BYTES)
      return new BridgedEvent(position, subject, parsed.text, parsed.event);
    const body = await this.#body(ref);
    // The body is gone, the fact is not: it is told with its reference.
    if (body === undefined) return new BridgedEvent(position, subject, parsed.text, parsed.event);
    const { ref: _ref, ...rest } = parsed.event.data as Record<string, unknown>;
    const filled = withBody(parsed.event.type, rest, body);
    const whole = { ...parsed.event, data: filled } as unknown as StoredEvent;
    return new BridgedEvent(position, subject, JSON.stringify(whole), whole);
  }

  /** @returns undefined when there is no such body. @throws {BrokerError} when the broker is away. */
  async #body(ref: BlobRef): Promise<unknown> {
    try {
      const body = parseJson(await this.#blobs.get(ref));
      if (body !== undefined) return body;
      this.#log.error({ blob: ref.name }, "an event's body is not JSON");
    } catch (error) {
      if (isBrokerError(error, 'unavailable')) throw error;
      this.#log.error({ err: error, blob: ref.name }, "an event's body cannot be read");
    }
    return undefined;
  }
}

/** Events before it are gone. */
const isDeletion = ({ type, data }: BridgedEvent): boolean =>
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

/** Stands for an event that is none: its place in the stream is told all the same. */
const UNREADABLE: Parsed = (() => {
  const event = { v: 1, id: '', type: 'UNREADABLE', timestamp: new Date(0).toISOString(), data: {} };
  return { text: JSON.stringify(event), event: event as unknown as StoredEvent };
})();

function refOf(event: StoredEvent): BlobRef | undefined {
  const ref = 'ref' in event.data ? check(BlobRef, event.data.ref) : undefined;
  return ref?.ok === true ? ref.value : undefined;
}
