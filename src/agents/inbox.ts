import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Agent } from '../../contracts/agents/agents.js';
import { check } from '../../contracts/wire/check.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { INBOX_PAGE_BYTES, Message, type InboxMessage } from '../../contracts/agents/messages.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { asBrokerError, lastBySubject, type Stored, sourceOf } from '../broker/read.js';
import { readStream } from '../broker/replay.js';
import { parseJson } from '../json.js';
import { invalid } from '../errors/api-error.js';
import type { InboxCursor, InboxCursors } from './inbox-cursors.js';
import { defined } from '../defined.js';

type Named = Pick<Agent, 'agent_id' | 'owner'>;

export interface InboxOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly positions: InboxCursors;
  readonly log: Logger;
}

/** A page of an inbox. `more`: further messages follow. */
export interface InboxPart {
  readonly messages: InboxMessage[];
  readonly more: boolean;
}

/** Optional fields of a receipt. */
export interface Acknowledged {
  /** The acknowledged messages, if the caller has read them. Default: read from the stream. */
  readonly message_ids?: readonly string[];
  readonly task_id?: string;
  readonly refused?: string;
}

/** KSI_MESSAGES sources from KSI_EVENTS within about 2 ms, and within seconds after a leader election. */
const BEHIND_MS = 1_000;
const LOOK_AGAIN_MS = 20;
/** The maximum number of message ids in a receipt. */
const MAX_RECEIPT_IDS = 1_000;

/** Reads inboxes and moves their cursors. The caller has checked that the principal may use the agent. */
export class Inboxes {
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /**
   * The unacknowledged messages, in order, including every message that was accepted before this call.
   * @param after skip messages up to this sequence. @throws {BrokerError}
   */
  async read(agent: Named, limit: number, after?: number): Promise<InboxPart> {
    await this.#caughtUp(agent.agent_id);
    const position = await this.#options.positions.of(agent.agent_id);
    return this.readAfter(agent, limit, Math.max(position, after ?? 0));
  }

  /** Messages after a sequence, as far as KSI_MESSAGES has them. @throws {BrokerError} */
  async readAfter(agent: Named, limit: number, after: number): Promise<InboxPart> {
    const filter = SUBJECT.inbox(agent.agent_id);
    const found: InboxMessage[] = [];
    let bytes = 0;
    for await (const stored of readStream(
      this.#options.broker,
      STREAM.messages,
      filter,
      after,
      Number.MAX_SAFE_INTEGER,
    )) {
      const message = await this.#message(stored);
      // An earlier agent of this id may have had another owner.
      if (message?.owner !== agent.owner) continue;
      if (found.length === limit || bytes >= INBOX_PAGE_BYTES) return { messages: found, more: true };
      found.push(message);
      bytes += (message.content?.length ?? 0) + stored.data.length;
    }
    return { messages: found, more: false };
  }

  /** As `read`. If there are no messages, waits up to `waitMs` for the first. @param signal ends the wait. @throws {BrokerError} */
  async readOrWait(
    agent: Named,
    options: { limit: number; after: number | undefined; waitMs: number; signal: AbortSignal },
  ): Promise<InboxPart> {
    const { limit, after, waitMs, signal } = options;
    const until = performance.now() + waitMs;
    const watch = this.watch(agent.agent_id);
    try {
      for (;;) {
        const arrived = watch.next();
        const found = await this.read(agent, limit, after);
        const left = until - performance.now();
        if (found.messages.length > 0 || left <= 0 || signal.aborted) return found;
        await passed(arrived, left, signal);
      }
    } finally {
      watch.stop();
    }
  }

  /** `next()` resolves on the next arrival. Notifications can get lost with the connection, so callers also poll. */
  watch(agentId: string): { next(): Promise<void>; stop(): void } {
    let notify: () => void = () => undefined;
    let next = new Promise<void>((resolve) => (notify = resolve));
    const subscription = this.#options.broker.nc.subscribe(SUBJECT.mailStored(agentId), {
      callback: () => {
        notify();
        next = new Promise<void>((resolve) => (notify = resolve));
      },
    });
    return { next: () => next, stop: () => subscription.unsubscribe() };
  }

  /** The number of unacknowledged messages. @throws {BrokerError} */
  async unread(agentId: string): Promise<number> {
    const { broker, positions } = this.#options;
    const from = (await positions.of(agentId)) + 1;
    try {
      const query = { seq: from, next_by_subj: SUBJECT.inbox(agentId), batch: 1 };
      const batch = await broker.jsm.direct.getBatch(STREAM.messages, query);
      for await (const first of batch) return 1 + Number(first.header.get('Nats-Num-Pending'));
      return 0;
    } catch (error) {
      if ((error as { code?: unknown }).code === 404) return 0;
      throw asBrokerError(error, 'counting messages');
    }
  }

  /**
   * Acknowledges all messages up to `seq` and publishes the receipt. A repeat publishes it again, in case the first call failed between
   * the two; the broker discards the duplicate. @throws {ApiError} invalid_request if `seq` is after the last message. @throws {BrokerError}
   */
  async take(agent: Named, seq: number, { message_ids, task_id, refused }: Acknowledged = {}): Promise<InboxCursor> {
    const { broker, positions } = this.#options;
    const { agent_id: id, owner } = agent;
    if (message_ids === undefined) await this.#refuseUnseen(id, seq);
    const position = await positions.move(id, seq);
    const { before, now } = position;
    if (now > seq) return position;
    const ids = message_ids ?? (await this.#idsBetween(id, before < seq ? before : seq - 1, seq));
    const event = newEvent(
      broker.clock,
      'AGENT_DELIVERED',
      defined({
        agent_id: id,
        owner,
        seq,
        message_ids: [...ids],
        task_id,
        refused,
      }),
    );
    const publication = eventPublication(event, SUBJECT.agentEvent(id, 'delivered'));
    await broker.publisher.publish({ ...publication, msgId: `delivered-${id}-${seq}` });
    return position;
  }

  /** A client must not acknowledge messages that do not exist yet. */
  async #refuseUnseen(agentId: string, seq: number): Promise<void> {
    const { broker, positions } = this.#options;
    const last = (await lastBySubject(broker, STREAM.messages, SUBJECT.inbox(agentId)))?.seq ?? 0;
    if (seq > last && seq > (await positions.of(agentId)))
      throw invalid([{ field: 'seq', message: `is after the last message (${last})` }]);
  }

  async #idsBetween(agentId: string, after: number, upTo: number): Promise<string[]> {
    const ids: string[] = [];
    for await (const stored of readStream(this.#options.broker, STREAM.messages, SUBJECT.inbox(agentId), after, upTo)) {
      const { data } = (parseJson(stored.data) ?? {}) as Partial<StoredEvent<'AGENT_MESSAGE'>>;
      if (data?.message_id !== undefined) ids.push(data.message_id);
      if (ids.length >= MAX_RECEIPT_IDS) break;
    }
    return ids;
  }

  /** Waits until KSI_MESSAGES has every message that KSI_EVENTS has for the agent, but at most BEHIND_MS. */
  async #caughtUp(agentId: string): Promise<void> {
    const { broker, log } = this.#options;
    const event = await lastBySubject(broker, STREAM.events, SUBJECT.agentMail(agentId));
    if (event === undefined) return;
    const watch = this.watch(agentId);
    try {
      const until = performance.now() + BEHIND_MS;
      for (;;) {
        const arrived = watch.next();
        const stored = await lastBySubject(broker, STREAM.messages, SUBJECT.inbox(agentId));
        if (stored !== undefined && sourceOf(stored) >= event.seq) return;
        if (performance.now() >= until) return log.warn({ agent_id: agentId }, 'KSI_MESSAGES is behind KSI_EVENTS');
        await passed(arrived, LOOK_AGAIN_MS);
      }
    } finally {
      watch.stop();
    }
  }

  /** Reads the body if it was stored as an object. Undefined: not a valid message. @throws {BrokerError} if the broker is unavailable. */
  async #message(stored: Stored): Promise<InboxMessage | undefined> {
    const event = parseJson(stored.data) as Partial<StoredEvent<'AGENT_MESSAGE'>> | undefined;
    const message = check(Message, event?.data);
    if (!message.ok) {
      this.#options.log.error(
        { subject: stored.subject, seq: stored.seq },
        'skipped a stored message that does not match its schema',
      );
      return undefined;
    }
    const { ref, ...rest } = message.value;
    const body = ref === undefined ? {} : await this.#body(ref);
    return { ...rest, ...body, seq: stored.seq, timestamp: event?.timestamp ?? new Date(stored.time()).toISOString() };
  }

  async #body(ref: NonNullable<Message['ref']>): Promise<Pick<Message, 'content' | 'payload' | 'ref'>> {
    try {
      return parseJson(await this.#options.blobs.get(ref)) as Pick<Message, 'content' | 'payload'>;
    } catch (error) {
      if (isTransient(error)) throw error;
      this.#options.log.error(
        { err: error, blob: ref.name },
        "could not read a message's body; delivering the message without it",
      );
      return { ref };
    }
  }
}

/** Resolves when `arrived` does, `ms` are over or `signal` aborts. */
async function passed(arrived: Promise<void>, ms: number, signal?: AbortSignal): Promise<void> {
  const over = new AbortController();
  const ends = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]);
  // The sleep rejects when it is aborted.
  await Promise.race([arrived, sleep(ms, undefined, { signal: ends }).catch(() => undefined)]);
  over.abort();
}
