import type { Logger } from 'pino';
import type { Agent } from '../../contracts/agents/agents.js';
import { isTurnMessage } from '../../contracts/conversations/conversations.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import { CONSUMER, NOBODY, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import type { Delivery } from '../broker/consume.js';
import { Work } from '../broker/work.js';
import { ApiError, apiErrorOf } from '../errors/api-error.js';
import { reactTo, type Reaction } from './decide.js';
import type { Ending } from './ending.js';
import type { Inboxes, Taken } from './inbox.js';
import type { AgentRegistry } from './registry.js';
import type { TaskMaker } from './task-maker.js';

export interface RouterOptions {
  readonly broker: Broker;
  readonly inboxPrefix?: string | undefined;
  readonly registry: Pick<AgentRegistry, 'find' | 'onChange'>;
  readonly inboxes: Pick<Inboxes, 'read' | 'take'>;
  readonly tasks: Pick<TaskMaker, 'make' | 'refuse'>;
  readonly ending: Pick<Ending, 'end'>;
  /** Whether a turn of a conversation is waited for still. @throws {BrokerError} */
  readonly isAwaited: (message: InboxMessage) => Promise<boolean>;
  readonly log: Logger;
}

/** Words of messages that are looked at at once. */
const AT_ONCE = 64;
/** Agents at work at once; each is some round trips to the broker at a time. */
const AGENTS_AT_ONCE = 32;
const PAGE = 50;
/** After another API has been found at work on the same inbox. */
const ANOTHERS_MS = 300;
const AGAIN_MS = 1_000;
const LONGEST_AGAIN_MS = 30_000;
/** Well within the consumer's `ack_wait`. */
const RENEW_MS = 3_000;

/** How the work on an inbox ended: nothing is left, there may be more, or another time, as something is in the way. */
type End = { readonly kind: 'done' } | { readonly kind: 'more' } | { readonly kind: 'later'; readonly ms: number };

interface AtWork {
  /** The word that is acknowledged only when nothing is left: if this API dies, it comes to another. */
  held: Delivery | undefined;
  /** Something came while it was at work. */
  again: boolean;
}

/**
 * Makes the messages of managed agents into tasks, one each, in order (ADR 18). A delivery of the shared consumer is only the word that
 * something is in an inbox; what is, and up to where it was taken, is read from there. So it doesn't matter which API hears of it, or how often:
 * a task has its message as its key, and the inbox's position moves only after the task is stored.
 */
export class Router {
  readonly #options: RouterOptions;
  readonly #work: Work;
  readonly #atWork = new Map<string, AtWork>();
  /** Agents whose turn it is not yet. */
  readonly #queue: string[] = [];
  readonly #running = new Set<Promise<void>>();
  #renewing: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#work = new Work({
      broker: options.broker,
      stream: STREAM.messages,
      consumer: CONSUMER.router,
      inboxPrefix: options.inboxPrefix,
      atOnce: AT_ONCE,
      handle: (delivery) => this.#heard(delivery),
    });
  }

  start(): void {
    const { registry } = this.#options;
    this.#unsubscribe = registry.onChange(({ before, now }) => {
      if (now !== undefined && takes(now) && before !== undefined && !takes(before)) this.#nudge(now.agent_id);
    });
    void this.#lookAround();
    // Of agents at work, and of those that wait for their turn.
    this.#renewing = setInterval(() => {
      for (const { held } of this.#atWork.values()) void held?.renew().catch(() => undefined);
    }, RENEW_MS);
    this.#work.start();
  }

  /** Resolves when nothing is under way. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    clearInterval(this.#renewing);
    await this.#work.stop();
    await Promise.all(this.#running);
    // Those whose turn has not come: to another API.
    for (const { held } of this.#atWork.values()) held?.giveBack(0);
    this.#atWork.clear();
  }

  /** That an agent was made active again may have been told to nobody, or to an API that died of it. Never rejects. */
  async #lookAround(): Promise<void> {
    const { broker, registry, log } = this.#options;
    try {
      const { state } = await broker.jsm.streams.info(STREAM.messages, { subjects_filter: SUBJECT.messagesAll });
      const ids = new Set(Object.keys(state.subjects ?? {}).map(agentIn));
      for (const id of ids) {
        const agent = registry.find(id)?.value;
        if (agent !== undefined && takes(agent) && !this.#stopped) this.#nudge(id);
      }
    } catch (error) {
      if (this.#stopped) return;
      log.warn({ err: error }, 'the inboxes that have messages could not be listed; trying again');
      broker.clock.after(AGAIN_MS, () => void (this.#stopped || this.#lookAround()));
    }
  }

  /** Never rejects. */
  async #heard(delivery: Delivery): Promise<void> {
    const id = agentIn(delivery.subject);
    const agent = id === NOBODY ? undefined : this.#options.registry.find(id)?.value;
    // It is taken by its client; or when it is active again, which is told as well.
    if (agent === undefined || !takes(agent)) {
      // One that has just been registered may not be known here yet.
      if (agent === undefined && id !== NOBODY && delivery.count < 3) return delivery.giveBack(AGAIN_MS);
      return this.#acknowledge(delivery);
    }
    this.#nudge(id, delivery);
  }

  #nudge(id: string, delivery?: Delivery): void {
    const atWork = this.#atWork.get(id);
    if (atWork !== undefined) {
      atWork.again = true;
      // One word is enough to come back to the inbox. The same one again, as its lease had run out, must not be acknowledged: it is the one.
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
    const end = await this.#takeSome(id).catch((error: unknown) => this.#failed(id, error));
    if (end.kind === 'more' || (end.kind === 'done' && atWork.again)) {
      // Others have their turn meanwhile.
      this.#queue.push(id);
      return;
    }
    this.#atWork.delete(id);
    if (end.kind === 'done') {
      if (atWork.held !== undefined) await this.#acknowledge(atWork.held);
    } else if (atWork.held === undefined) this.#later(id, end.ms);
    // It comes again, here or elsewhere.
    else atWork.held.giveBack(end.ms);
  }

  #later(id: string, ms: number): void {
    if (!this.#stopped) this.#options.broker.clock.after(ms, () => void (this.#stopped || this.#nudge(id)));
  }

  /** A page of its messages. */
  async #takeSome(id: string): Promise<End> {
    const { registry, inboxes } = this.#options;
    const found = registry.find(id)?.value;
    if (found === undefined) return { kind: 'done' };
    const { messages } = await inboxes.read(found, PAGE);
    for (const message of messages) {
      // It may have been paused or changed since.
      const agent = registry.find(id)?.value;
      if (agent === undefined || !takes(agent)) return { kind: 'done' };
      if (this.#stopped) return { kind: 'later', ms: 0 };
      const end = await this.#takeOne(agent, message);
      if (end !== undefined) return end;
    }
    return { kind: messages.length === 0 ? 'done' : 'more' };
  }

  /** @returns undefined: it is taken. @throws {BrokerError} */
  async #takeOne(agent: Agent, message: InboxMessage): Promise<End | undefined> {
    const { ending, isAwaited } = this.#options;
    const reaction: Reaction =
      isTurnMessage(message) && !(await isAwaited(message)) ? { kind: 'none' } : reactTo(message, agent);
    let taken: Taken = {};
    if (reaction.kind === 'end') await ending.end(agent, message.message_id);
    else if (reaction.kind === 'none') taken = reaction.refused === undefined ? {} : { refused: reaction.refused };
    else {
      const made = await this.#options.tasks.make(agent, message, reaction);
      if (made instanceof ApiError) {
        // Until then the message stays at the head of its inbox.
        if (made.retryable) return { kind: 'later', ms: againAfter(made) };
        await this.#options.tasks.refuse(agent, message, made);
        taken = { refused: made.code };
      } else taken = { task_id: made };
    }
    const position = await this.#options.inboxes.take(agent, message.seq, {
      ...taken,
      message_ids: [message.message_id],
    });
    // Another API is at work on the same inbox: one of the two is enough.
    return position.now > message.seq || position.before === message.seq
      ? { kind: 'later', ms: ANOTHERS_MS }
      : undefined;
  }

  #failed(id: string, thrown: unknown): End {
    const error = apiErrorOf(thrown);
    const log = { err: thrown, agent_id: id };
    if (error.transient) this.#options.log.warn(log, "an agent's messages wait for the broker");
    else this.#options.log.error(log, "an agent's messages could not be made into tasks; trying again");
    return { kind: 'later', ms: againAfter(error) };
  }

  /** Never rejects: one that is not acknowledged comes again, and is found to be taken. */
  async #acknowledge(delivery: Delivery): Promise<void> {
    await delivery
      .ack()
      .catch((error: unknown) => this.#options.log.debug({ err: error }, 'a word of a message comes again'));
  }
}

const agentIn = (subject: string): string => subject.slice(subject.lastIndexOf('.') + 1);

const takes = ({ kind, status }: Agent): boolean => kind === 'managed' && status === 'active';

const againAfter = ({ retryAfter }: ApiError): number =>
  Math.min(retryAfter === undefined ? AGAIN_MS : retryAfter * 1_000, LONGEST_AGAIN_MS);
