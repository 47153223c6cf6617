import type { RawData } from 'ws';
import type { Logger } from 'pino';
import { check } from '../../../contracts/wire/check.js';
import { API_ERRORS, CLOSE, type ApiErrorCode } from '../../../contracts/wire/errors.js';
import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import { ClientFrame, type ServerFrame } from '../../../contracts/api/ws.js';
import { streamPosition } from '../../broker/read.js';
import type { HubEvent } from '../../events/hub-event.js';
import { Feed } from '../../events/feed.js';
import { parsePattern, type SubjectPattern } from '../../events/subject.js';
import { ApiError, apiErrorOf } from '../../errors/api-error.js';
import { demand } from '../../access/auth.js';
import { recordOperation } from '../record-operation.js';
import type { Broker } from '../../broker/connect.js';
import type { Store } from '../../store/start.js';
import type { Tasks } from '../../tasks/start.js';
import { settledSequenceOf } from '../../tasks/event-cursor.js';
import { maySee, type Principal } from '../../access/principal.js';
import { InboxSubscriptions, type InboxSubscriptionServices } from './inbox-subscriptions.js';
import type { LiveFeed, LiveMessage } from './live.js';
import type { Outgoing } from './outgoing.js';

const MAX_SUBSCRIPTIONS = 64;
/** Unanswered frames of a client at which the API pauses reading from its socket. */
const MAX_UNANSWERED = 64;

/** The socket that a client's frames arrive on. */
export interface Incoming {
  pause(): void;
  resume(): void;
}

interface Subscription {
  stop(): void;
  /** Resolves when the replay has caught up with the live events, has failed, or was stopped. */
  readonly settled: Promise<void>;
}

/** The patterns of a subscription, by the source of their messages. */
interface Patterns {
  readonly events: readonly SubjectPattern[];
  readonly live: readonly SubjectPattern[];
}

/** @throws {ApiError} invalid_subject */
export function parseSubjects(subjects: readonly string[]): Patterns {
  const patterns = subjects.map((subject) => {
    const pattern = parsePattern(subject);
    if (pattern === undefined)
      throw new ApiError(
        'invalid_subject',
        `\`${subject}\` is not a subject pattern that starts with \`ksi.events.\` or \`ksi.live.\``,
      );
    return pattern;
  });
  const isLive = ({ text }: SubjectPattern): boolean => text.startsWith('ksi.live.');
  return { events: patterns.filter((pattern) => !isLive(pattern)), live: patterns.filter(isLive) };
}

export interface ConnectionServices
  extends InboxSubscriptionServices, Pick<Store, 'hub' | 'limit'>, Pick<Tasks, 'approvals'> {
  readonly broker: Broker;
}

/** A WebSocket client: its subscriptions, and the delivery of events and messages to it. */
export class EventConnection {
  readonly #services: ConnectionServices;
  readonly #principal: Principal;
  readonly #requestId: string;
  readonly #in: Incoming;
  readonly #out: Outgoing;
  readonly #live: LiveFeed;
  readonly #log: Logger;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #inboxes: InboxSubscriptions;
  #lastSent = 0;
  /** Handles the frames in order. A frame may have to wait for the hub. */
  #lastAnswer: Promise<void> = Promise.resolve();
  #unanswered = 0;
  #stopped = false;

  constructor(options: {
    services: ConnectionServices;
    principal: Principal;
    /** The id of the request that opened the connection. */
    requestId: string;
    incoming: Incoming;
    out: Outgoing;
    live: LiveFeed;
  }) {
    this.#services = options.services;
    this.#principal = options.principal;
    this.#requestId = options.requestId;
    this.#in = options.incoming;
    this.#out = options.out;
    this.#live = options.live;
    this.#log = options.services.log;
    const { services, principal, out } = options;
    this.#inboxes = new InboxSubscriptions({
      services,
      principal,
      out,
      send: (frame) => this.#send(frame),
      fail: (error, id) => this.#sendError(apiErrorOf(error), id),
    });
  }

  /** Sends what a client gets when it connects. @param after the sequence to replay from; undefined: only new events. */
  open(subjects: readonly string[] | undefined, after: number | undefined): void {
    if (subjects === undefined && after === undefined)
      for (const event of this.#services.hub.recentOutcomes()) this.#deliver(event);
    this.#subscribe('', parseSubjects(subjects ?? [SUBJECT.eventsAll]), after);
  }

  onMessage(data: RawData, isBinary: boolean): void {
    if (isBinary) return this.#out.close(CLOSE.unsupported, 'only text frames are supported');
    const text = (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)).toString('utf8');
    // Backpressure: a client that sends faster than the API answers must not fill the API's memory.
    if (++this.#unanswered === MAX_UNANSWERED) this.#in.pause();
    this.#lastAnswer = this.#lastAnswer.then(() => this.#answer(text)).finally(() => this.#answered());
  }

  #answered(): void {
    if (--this.#unanswered === 0) this.#in.resume();
  }

  stop(): void {
    this.#stopped = true;
    for (const subscription of this.#subscriptions.values()) subscription.stop();
    this.#subscriptions.clear();
    this.#inboxes.stop();
  }

  async #answer(text: string): Promise<void> {
    if (this.#stopped) return;
    if (text === 'ping') return this.#out.send('pong');
    try {
      await this.#handle(readFrame(text));
    } catch (error) {
      this.#sendError(apiErrorOf(error));
    }
  }

  async #handle(frame: ClientFrame): Promise<void> {
    if (frame.op === 'unsubscribe') {
      await this.#drop(frame.id);
      return this.#send({ op: 'unsubscribed', id: frame.id });
    }
    if (frame.op === 'approve') return this.#approve(frame);
    if (frame.op !== 'subscribe') return this.#inboxes.handle(frame);
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS)
      throw new ApiError('invalid_request', `A connection has at most ${MAX_SUBSCRIPTIONS} subscriptions`);
    const wanted = parseSubjects(frame.subjects);
    const after = frame.since === undefined ? undefined : await settledSequenceOf(frame.since, this.#services.hub);
    await this.#drop(frame.id);
    if (this.#stopped) return;
    this.#send({ op: 'subscribed', id: frame.id, seq: after ?? this.#services.hub.position.seq });
    this.#subscribe(frame.id, wanted, after);
  }

  async #approve({
    op: _op,
    id,
    approval_id: approvalId,
    ...answer
  }: Extract<ClientFrame, { op: 'approve' }>): Promise<void> {
    const { approvals, audit } = this.#services;
    const request = { id: approvalId };
    const record = (result: string): void =>
      recordOperation(audit, 'approve', { principal: this.#principal, request, result, over: 'ws' });
    try {
      demand(this.#principal, 'approve');
      const { task_id: _taskId, ...resolved } = await approvals.answer(approvalId, answer, this.#principal);
      record('ok');
      this.#send({ op: 'approved', id, ...resolved });
    } catch (thrown) {
      const error = apiErrorOf(thrown);
      record(error.code);
      this.#sendError(error, id);
    }
  }

  /** Ends a subscription. Waits until its replay has left the limit that all clients share, so that a client holds one slot at most. */
  async #drop(id: string): Promise<void> {
    const subscription = this.#subscriptions.get(id);
    this.#subscriptions.delete(id);
    subscription?.stop();
    await subscription?.settled;
  }

  #subscribe(id: string, wanted: Patterns, after: number | undefined): void {
    const unsubscribe =
      wanted.live.length > 0
        ? this.#live.subscribe((message) => this.#deliverLive(message, wanted.live))
        : () => undefined;
    const feed = wanted.events.length > 0 ? this.#follow(id, wanted.events, after) : undefined;
    this.#subscriptions.set(id, {
      stop: () => {
        unsubscribe();
        feed?.stop();
      },
      settled: feed?.settled ?? Promise.resolve(),
    });
  }

  #follow(id: string, patterns: readonly SubjectPattern[], after: number | undefined): Subscription {
    const { hub, limit } = this.#services;
    const [only] = patterns;
    const feed = new Feed({
      hub,
      limit,
      filter: patterns.length === 1 && only !== undefined ? only.text : SUBJECT.eventsAll,
      matches: (event) => patterns.some((pattern) => pattern.matches(event.tokens)),
      sink: { deliver: (event) => this.#deliver(event), ready: () => this.#out.drained() },
    });
    // A subscription without a replay joins the hub synchronously, so that the client gets no event twice from two subscriptions.
    const started =
      after === undefined ? feed.start(hub.position.seq) : this.#sendGap(id, after).then(() => feed.start(after));
    const settled = started.catch((error: unknown) => {
      this.#log.warn({ err: error }, 'a replay failed; closing the connection');
      this.#sendError(apiErrorOf(error), id);
      this.#out.close(CLOSE.restart, 'the replay failed; connect again');
    });
    return { stop: () => feed.stop(), settled };
  }

  /** Tells the client which of the requested events retention has deleted. */
  async #sendGap(id: string, after: number): Promise<void> {
    const { broker, hub } = this.#services;
    if (hub.recentAfter(after) !== undefined) return;
    const { firstSeq } = await streamPosition(broker, STREAM.events);
    if (after + 1 < firstSeq)
      this.#send({ op: 'gap', from: after + 1, to: firstSeq - 1, ...(id === '' ? {} : { id }) });
  }

  #deliver(event: HubEvent): void {
    // Two subscriptions may match the same live event. Send it once.
    if (event.seq === this.#lastSent || !maySee(this.#principal, event.owner)) return;
    this.#lastSent = event.seq;
    this.#out.send(event.frame, event.cursor);
  }

  #deliverLive({ tokens, owner, frame }: LiveMessage, patterns: readonly SubjectPattern[]): void {
    if (maySee(this.#principal, owner) && patterns.some((pattern) => pattern.matches(tokens))) this.#out.send(frame);
  }

  #send(frame: ServerFrame): void {
    this.#out.send(JSON.stringify(frame));
  }

  #sendError(error: ApiError, id?: string): void {
    this.#send({
      op: 'error',
      code: error.code,
      status: error.status,
      message: explain(error.code, error.message),
      request_id: this.#requestId,
      ...(id === undefined || id === '' ? {} : { id }),
    });
  }
}

const explain = (code: ApiErrorCode, message: string): string =>
  `${message.replace(/[.\s]*$/, '')}. ${API_ERRORS[code].next}`;

function readFrame(text: string): ClientFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ApiError('invalid_json', 'The frame is not JSON', { cause });
  }
  const result = check(ClientFrame, value);
  if (result.ok) return result.value;
  throw new ApiError(
    'invalid_request',
    'The frame must be one of `{"op":"subscribe","id","subjects","since"?}`, `{"op":"unsubscribe","id"}`, `{"op":"approve","id","approval_id","decision"}`, `{"op":"attach","id","agent_id"}`, `{"op":"ack","id","seq"}`, `{"op":"detach","id"}` or `{"op":"send","id","message"}`',
  );
}
