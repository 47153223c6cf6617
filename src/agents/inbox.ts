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
import type { Position, Positions } from './positions.js';

type Named = Pick<Agent, 'agent_id' | 'owner'>;

export interface InboxOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly positions: Positions;
  readonly log: Logger;
}

/** The next messages of an inbox, and whether more follow them. */
export interface InboxPart {
  readonly messages: InboxMessage[];
  readonly more: boolean;
}

/** What a receipt says more than that messages were taken. */
export interface Taken {
  /** Of the messages, if they are known: then they are there, and nothing is read again. */
  readonly message_ids?: readonly string[];
  readonly task_id?: string;
  readonly refused?: string;
}

/** KSI_MESSAGES takes what KSI_EVENTS stores in about 2 ms; after an election of leaders it may take seconds. */
const BEHIND_MS = 1_000;
const LOOK_AGAIN_MS = 20;
/** A receipt names so many messages at the most. */
const MOST_NAMED = 1_000;

/** Reads agents' inboxes, and moves their positions. Whose the agent is was asked before. */
export class Inboxes {
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /**
   * What it has not taken, in order; what was accepted before is among it. @param after a place of its own in the inbox.
   * @throws {BrokerError}
   */
  async read(agent: Named, limit: number, after?: number): Promise<InboxPart> {
    await this.#caughtUp(agent.agent_id);
    const position = await this.#options.positions.of(agent.agent_id);
    return this.readAfter(agent, limit, Math.max(position, after ?? 0));
  }

  /** What came after a place in its inbox, as far as it is there by now. @throws {BrokerError} */
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
      // Of an earlier agent of this id, if its owner was another.
      if (message?.owner !== agent.owner) continue;
      if (found.length === limit || bytes >= INBOX_PAGE_BYTES) return { messages: found, more: true };
      found.push(message);
      bytes += (message.content?.length ?? 0) + stored.data.length;
    }
    return { messages: found, more: false };
  }

  /** The same; if there is none, what comes within `waitMs`. @param signal ends the wait. @throws {BrokerError} */
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

  /** Tells that something came for an agent. A word of it may get lost with the connection: look now and then all the same. */
  watch(agentId: string): { next(): Promise<void>; stop(): void } {
    let tell: () => void = () => undefined;
    let next = new Promise<void>((resolve) => (tell = resolve));
    const subscription = this.#options.broker.nc.subscribe(SUBJECT.mailStored(agentId), {
      callback: () => {
        tell();
        next = new Promise<void>((resolve) => (tell = resolve));
      },
    });
    return { next: () => next, stop: () => subscription.unsubscribe() };
  }

  /** How many it has not taken. @throws {BrokerError} */
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
   * All up to `seq` are taken, and a receipt says so; again, if that was asked before and perhaps not told.
   * @throws {ApiError} invalid_request for one that is not there yet. @throws {BrokerError}
   */
  async take(agent: Named, seq: number, { message_ids, task_id, refused }: Taken = {}): Promise<Position> {
    const { broker, positions } = this.#options;
    const { agent_id: id, owner } = agent;
    if (message_ids === undefined) await this.#refuseUnseen(id, seq);
    const position = await positions.move(id, seq);
    const { before, now } = position;
    if (now > seq) return position;
    const ids = message_ids ?? (await this.#idsBetween(id, before < seq ? before : seq - 1, seq));
    const event = newEvent(broker.clock, 'AGENT_DELIVERED', {
      agent_id: id,
      owner,
      seq,
      message_ids: [...ids],
      ...(task_id === undefined ? {} : { task_id }),
      ...(refused === undefined ? {} : { refused }),
    });
    const publication = eventPublication(event, SUBJECT.agentEvent(id, 'delivered'));
    await broker.publisher.publish({ ...publication, msgId: `delivered-${id}-${seq}` });
    return position;
  }

  /** What comes later must not be taken unseen. */
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
      if (ids.length >= MOST_NAMED) break;
    }
    return ids;
  }

  /** Waits until KSI_MESSAGES holds what KSI_EVENTS holds for the agent by now; for a while, then what is there must do. */
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
        if (performance.now() >= until) return log.warn({ agent_id: agentId }, 'the inboxes are behind the events');
        await passed(arrived, LOOK_AGAIN_MS);
      }
    } finally {
      watch.stop();
    }
  }

  /** With the body put back that was too large; undefined: it is none of ours. @throws {BrokerError} when the broker is away. */
  async #message(stored: Stored): Promise<InboxMessage | undefined> {
    const event = parseJson(stored.data) as Partial<StoredEvent<'AGENT_MESSAGE'>> | undefined;
    const message = check(Message, event?.data);
    if (!message.ok) {
      this.#options.log.error({ subject: stored.subject, seq: stored.seq }, 'a message is not understood and left out');
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
      this.#options.log.error({ err: error, blob: ref.name }, "a message's body cannot be read");
      return { ref };
    }
  }
}

/** Resolves when `arrived` does, `ms` are over or `signal` aborts. */
async function passed(arrived: Promise<void>, ms: number, signal?: AbortSignal): Promise<void> {
  const over = new AbortController();
  const ends = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]);
  // Called off.
  await Promise.race([arrived, sleep(ms, undefined, { signal: ends }).catch(() => undefined)]);
  over.abort();
}
