import type { Logger } from 'pino';
import type { Agent } from '../../contracts/agents/agents.js';
import { isTurnMessage } from '../../contracts/conversations/conversations.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import { CONSUMER, NOBODY, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Delivery } from '../broker/consume.js';
import { ConsumerLoop, type ConsumerLoopOptions } from '../broker/consumer-loop.js';
import { ApiError, apiErrorOf } from '../errors/api-error.js';
import { reactionTo, type Reaction } from './reactions.js';
import type { AgentEnder } from './end-agent.js';
import type { Inboxes, Acknowledged } from './inbox.js';
import type { AgentRegistry } from './registry.js';
import type { MessageTaskCreator } from './message-task.js';

export interface MessageDispatcherOptions extends ConsumerLoopOptions {
  readonly registry: Pick<AgentRegistry, 'find' | 'onChange'>;
  readonly inboxes: Pick<Inboxes, 'read' | 'take'>;
  readonly tasks: Pick<MessageTaskCreator, 'create' | 'refuse'>;
  readonly ending: Pick<AgentEnder, 'end'>;
  /** Whether the conversation still waits for this turn. @throws {BrokerError} */
  readonly isAwaited: (message: InboxMessage) => Promise<boolean>;
  readonly log: Logger;
}

/** Notifications handled at once. */
const AT_ONCE = 64;
/** Inboxes processed at once. Each makes a few round trips to the broker at a time. */
const AGENTS_AT_ONCE = 32;
const PAGE = 50;
/** The delay after another API was found to process the same inbox. */
const ANOTHERS_MS = 300;
const AGAIN_MS = 1_000;
const MAX_AGAIN_MS = 30_000;
/** Well within the consumer's `ack_wait`. */
const RENEW_MS = 3_000;

/** How a pass over an inbox ended: empty, perhaps more to do, or to be retried after `ms`. */
type End = { readonly kind: 'done' } | { readonly kind: 'more' } | { readonly kind: 'later'; readonly ms: number };

interface AtWork {
  /** The notification, acknowledged only when the inbox is empty. If this API dies, another API gets it. */
  held: Delivery | undefined;
  /** A notification arrived during the pass. */
  again: boolean;
}

/**
 * Turns the messages of managed agents into tasks, one each, in order (ADR 18). A delivery of the shared consumer is only a notification:
 * the messages and the cursor are read from the inbox. So it does not matter which API gets a notification, or how often: the message id
 * is the task's idempotency key, and the cursor moves only after the task is stored.
 */
export class MessageDispatcher extends ConsumerLoop {
  readonly #options: MessageDispatcherOptions;
  readonly #atWork = new Map<string, AtWork>();
  /** Agents that wait for a free place in `#running`. */
  readonly #queue: string[] = [];
  readonly #running = new Set<Promise<void>>();
  #renewing: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: MessageDispatcherOptions) {
    super(options, { stream: STREAM.messages, consumer: CONSUMER.router, atOnce: AT_ONCE });
    this.#options = options;
  }

  override start(): void {
    const { registry } = this.#options;
    this.#unsubscribe = registry.onChange(({ before, now }) => {
      if (now !== undefined && takes(now) && before !== undefined && !takes(before)) this.#notify(now.agent_id);
    });
    void this.#nudgeAll();
    // Renews the leases of all agents, in progress or queued.
    this.#renewing = setInterval(() => {
      for (const { held } of this.#atWork.values()) void held?.renew().catch(() => undefined);
    }, RENEW_MS);
    super.start();
  }

  /** Resolves when all passes have ended. Idempotent. */
  override async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    clearInterval(this.#renewing);
    await super.stop();
    await Promise.all(this.#running);
    // Queued agents go to another API.
    for (const { held } of this.#atWork.values()) held?.nak(0);
    this.#atWork.clear();
  }

  /** An API may have crashed after an agent was reactivated, so every start checks all inboxes that have messages. Never rejects. */
  async #nudgeAll(): Promise<void> {
    const { broker, registry, log } = this.#options;
    try {
      const { state } = await broker.jsm.streams.info(STREAM.messages, { subjects_filter: SUBJECT.messagesAll });
      const ids = new Set(Object.keys(state.subjects ?? {}).map(agentIn));
      for (const id of ids) {
        const agent = registry.find(id)?.value;
        if (agent !== undefined && takes(agent) && !this.#stopped) this.#notify(id);
      }
    } catch (error) {
      if (this.#stopped) return;
      log.warn({ err: error }, 'could not list the inboxes; retrying');
      broker.clock.after(AGAIN_MS, () => void (this.#stopped || this.#nudgeAll()));
    }
  }

  /** Never rejects. */
  protected override async handle(delivery: Delivery): Promise<void> {
    const id = agentIn(delivery.subject);
    const agent = id === NOBODY ? undefined : this.#options.registry.find(id)?.value;
    // An external agent reads its inbox itself. A paused agent is processed when it becomes active, which `onChange` reports.
    if (agent === undefined || !takes(agent)) {
      // This API may not have seen a new registration yet.
      if (agent === undefined && id !== NOBODY && delivery.count < 3) return delivery.nak(AGAIN_MS);
      return this.#acknowledge(delivery);
    }
    this.#notify(id, delivery);
  }

  #notify(id: string, delivery?: Delivery): void {
    const atWork = this.#atWork.get(id);
    if (atWork !== undefined) {
      atWork.again = true;
      // One notification per inbox is enough; acknowledge the others. A redelivery of the held one (its lease ran out) replaces it.
      if (atWork.held === undefined || delivery?.seq === atWork.held.seq) atWork.held = delivery ?? atWork.held;
      else if (delivery !== undefined) void this.#acknowledge(delivery);
      return;
    }
    this.#atWork.set(id, { held: delivery, again: false });
    this.#queue.push(id);
    this.#next();
  }

  #next(): void {
    while (this.#running.size < AGENTS_AT_ONCE && !this.#stopped) {
      const id = this.#queue.shift();
      const atWork = id === undefined ? undefined : this.#atWork.get(id);
      if (id === undefined || atWork === undefined) return;
      const running = this.#drain(id, atWork).finally(() => {
        this.#running.delete(running);
        this.#next();
      });
      this.#running.add(running);
    }
  }

  /** Never rejects. */
  async #drain(id: string, atWork: AtWork): Promise<void> {
    atWork.again = false;
    const end = await this.#handleBatch(id).catch((error: unknown) => this.#failed(id, error));
    if (end.kind === 'more' || (end.kind === 'done' && atWork.again)) {
      // Back of the queue, so that other agents get their turn.
      this.#queue.push(id);
      return;
    }
    this.#atWork.delete(id);
    if (end.kind === 'done') {
      if (atWork.held !== undefined) await this.#acknowledge(atWork.held);
    } else if (atWork.held === undefined) this.#later(id, end.ms);
    // The broker redelivers it, to this API or another.
    else atWork.held.nak(end.ms);
  }

  #later(id: string, ms: number): void {
    if (!this.#stopped) this.#options.broker.clock.after(ms, () => void (this.#stopped || this.#notify(id)));
  }

  /** Processes a page of messages. */
  async #handleBatch(id: string): Promise<End> {
    const { registry, inboxes } = this.#options;
    const found = registry.find(id)?.value;
    if (found === undefined) return { kind: 'done' };
    const { messages } = await inboxes.read(found, PAGE);
    for (const message of messages) {
      // The agent may have been paused or changed since the last message.
      const agent = registry.find(id)?.value;
      if (agent === undefined || !takes(agent)) return { kind: 'done' };
      if (this.#stopped) return { kind: 'later', ms: 0 };
      const end = await this.#handleOne(agent, message);
      if (end !== undefined) return end;
    }
    return { kind: messages.length === 0 ? 'done' : 'more' };
  }

  /** @returns undefined: continue with the next message. @throws {BrokerError} */
  async #handleOne(agent: Agent, message: InboxMessage): Promise<End | undefined> {
    const { ending, isAwaited } = this.#options;
    const reaction: Reaction =
      isTurnMessage(message) && !(await isAwaited(message)) ? { kind: 'none' } : reactionTo(message, agent);
    let taken: Acknowledged = {};
    if (reaction.kind === 'end') await ending.end(agent, message.message_id);
    else if (reaction.kind === 'none') taken = reaction.refused === undefined ? {} : { refused: reaction.refused };
    else {
      const made = await this.#options.tasks.create(agent, message, reaction);
      if (made instanceof ApiError) {
        // The message stays at the head of the inbox until the retry.
        if (made.retryable) return { kind: 'later', ms: againAfter(made) };
        await this.#options.tasks.refuse(agent, message, made);
        taken = { refused: made.code };
      } else taken = { task_id: made };
    }
    const position = await this.#options.inboxes.take(agent, message.seq, {
      ...taken,
      message_ids: [message.message_id],
    });
    // Another API has moved the cursor: let it process this inbox.
    return position.now > message.seq || position.before === message.seq
      ? { kind: 'later', ms: ANOTHERS_MS }
      : undefined;
  }

  #failed(id: string, thrown: unknown): End {
    const error = apiErrorOf(thrown);
    const log = { err: thrown, agent_id: id };
    if (error.transient)
      this.#options.log.warn(log, "could not process an agent's inbox; retrying when the broker answers");
    else this.#options.log.error(log, "could not turn an agent's messages into tasks; retrying");
    return { kind: 'later', ms: againAfter(error) };
  }

  /** Never rejects. An unacknowledged notification is redelivered and finds nothing to do. */
  async #acknowledge(delivery: Delivery): Promise<void> {
    await delivery
      .ack()
      .catch((error: unknown) =>
        this.#options.log.debug({ err: error }, 'could not acknowledge a notification; the broker redelivers it'),
      );
  }
}

const agentIn = (subject: string): string => subject.slice(subject.lastIndexOf('.') + 1);

const takes = ({ kind, status }: Agent): boolean => kind === 'managed' && status === 'active';

const againAfter = ({ retryAfter }: ApiError): number =>
  Math.min(retryAfter === undefined ? AGAIN_MS : retryAfter * 1_000, MAX_AGAIN_MS);
