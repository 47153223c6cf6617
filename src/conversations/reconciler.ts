import type { Logger } from 'pino';
import { TURN_MESSAGE, type ConversationRecord, type Turn } from '../../contracts/conversations/conversations.js';
import type { Broker } from '../broker/connect.js';

import type { MessageSender } from '../agents/message-sender.js';
import { ApiError } from '../errors/api-error.js';
import type { Principal } from '../access/principal.js';
import type { EventOutbox } from './event-outbox.js';
import type { ConversationLines } from './lines.js';
import { nextAction, type Action } from './next-action.js';
import type { ParticipantAgents } from './participant-agents.js';
import type {
  ConversationRecords,
  ConversationSummaries,
  ConversationSummary,
  VersionedConversation,
} from './records.js';
import { transition } from './transition.js';
import type { Trigger } from './trigger.js';
import { turnPrompt } from './turn-prompt.js';

export interface ReconcilerOptions {
  readonly broker: Pick<Broker, 'clock' | 'connected'>;
  readonly records: Pick<ConversationRecords, 'get' | 'update'>;
  readonly summaries: Pick<ConversationSummaries, 'entries' | 'onChange'>;
  readonly lines: Pick<ConversationLines, 'put' | 'read'>;
  readonly outbox: Pick<EventOutbox, 'publish'>;
  readonly messageSender: Pick<MessageSender, 'send'>;
  readonly agents: Pick<ParticipantAgents, 'register' | 'remove' | 'cancel'>;
  readonly log: Logger;
}

const CHECK_INTERVAL_MS = 1_000;
/** An API continues a conversation with an open action only after this time: the API that changed it is probably at work on it. */
const TAKEOVER_AFTER_MS = 3_000;

/** A conversation acts with the rights of the token that created it. */
export const principalOf = ({ owner, token_id }: Pick<ConversationRecord, 'owner' | 'token_id'>): Principal => ({
  tokenId: token_id,
  owner,
  scopes: new Set(['spawn', 'agents', 'read']),
  seesAll: false,
});

/**
 * Drives conversations. A trigger changes a conversation's state by compare-and-set. Then the reconciler does the actions that the state calls for.
 * Any API repeats an action that it finds undone, so a conversation survives any crash. A repeated action has no further effect: for example, the
 * id of a turn's message derives from the turn.
 */
export class ConversationReconciler {
  readonly #options: ReconcilerOptions;
  /** The conversations with an open action, with the monotonic time in ms at which this API learned of it. */
  readonly #openSince = new Map<string, number>();
  /** The next deadline of each conversation, in ms since 1970. */
  readonly #deadlines = new Map<string, number>();
  readonly #running = new Map<string, { again: boolean; done: Promise<void> }>();
  #cancelCheck: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  start(): void {
    const { summaries } = this.#options;
    for (const [id, { value }] of summaries.entries()) this.#schedule(id, value);
    this.#unsubscribe = summaries.onChange(({ key, now }) => this.#schedule(key, now));
    this.#checkAll();
  }

  /** Resolves when no action is running. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelCheck?.();
    this.#unsubscribe?.();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /**
   * Applies a trigger, then reconciles the conversation in the background.
   * @param refuse throws if the trigger is not allowed in a state. @returns the new record; undefined if there is no such conversation.
   * @throws {ApiError} from `refuse`. @throws {BrokerError}
   */
  async apply(
    id: string,
    trigger: Trigger,
    refuse: (held: VersionedConversation) => void = () => undefined,
  ): Promise<VersionedConversation | undefined> {
    const changed = await this.#change(id, trigger, refuse);
    if (changed !== undefined) this.reconcile(id);
    return changed;
  }

  /** Does the open actions of a conversation in the background. */
  reconcile(id: string): void {
    const running = this.#running.get(id);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    if (this.#stopped) return;
    const entry = { again: false, done: Promise.resolve() };
    this.#running.set(id, entry);
    entry.done = this.#reconcile(id).finally(() => {
      this.#running.delete(id);
      if (entry.again) this.reconcile(id);
    });
  }

  /** Resolves when no action that can be done now is open. */
  async settled(id: string): Promise<void> {
    for (let running = this.#running.get(id); running !== undefined; running = this.#running.get(id))
      await running.done;
  }

  #schedule(id: string, summary: ConversationSummary | undefined): void {
    this.#openSince.delete(id);
    this.#deadlines.delete(id);
    if (summary?.nextCheckAt === 0) this.#openSince.set(id, this.#options.broker.clock.monotonic());
    else if (summary?.nextCheckAt !== undefined) this.#deadlines.set(id, summary.nextCheckAt);
  }

  #checkAll(): void {
    const { broker } = this.#options;
    this.#cancelCheck = broker.clock.after(CHECK_INTERVAL_MS, () => this.#checkAll());
    if (!broker.connected()) return;
    const before = broker.clock.monotonic() - TAKEOVER_AFTER_MS;
    for (const [id, since] of this.#openSince)
      if (since < before) {
        this.#openSince.set(id, broker.clock.monotonic());
        this.reconcile(id);
      }
    for (const [id, deadline] of this.#deadlines)
      if (deadline <= broker.clock.now()) {
        this.#deadlines.set(id, broker.clock.now() + TAKEOVER_AFTER_MS);
        void this.apply(id, { kind: 'time' }).catch((error: unknown) => this.#failed(id, error));
      }
  }

  #failed(id: string, error: unknown): void {
    this.#options.log.warn({ err: error, conversation_id: id }, 'could not continue a conversation; retrying');
  }

  async #change(
    id: string,
    trigger: Trigger,
    refuse: (held: VersionedConversation) => void,
  ): Promise<VersionedConversation | undefined> {
    const { records, lines, broker } = this.#options;
    const { record, revision } = await records.update([id], async ({ record: current, revision }) => {
      if (current === undefined) return undefined;
      refuse({ record: current, revision });
      const next = transition(current, trigger, broker.clock.now());
      if (next?.line !== undefined) await lines.put(id, next.line);
      return next?.record;
    });
    return record && { record, revision };
  }

  /** Never rejects. A failed action stays open, and this or another API retries it. */
  async #reconcile(id: string): Promise<void> {
    try {
      for (;;) {
        const record = await this.#options.records.get([id]);
        const action = record === undefined ? undefined : nextAction(record);
        if (record === undefined || action === undefined || this.#stopped) return;
        const result = await this.#do(record, action);
        if (result !== undefined) await this.#change(id, result, () => undefined);
      }
    } catch (error) {
      this.#failed(id, error);
    }
  }

  /** @returns the trigger that records the action's result. */
  async #do(record: ConversationRecord, action: Action): Promise<Trigger | undefined> {
    const { outbox, records, agents } = this.#options;
    const { conversation_id: id, participants, current_turn: turn } = record;
    const principal = principalOf(record);
    switch (action.kind) {
      case 'publish':
        return { kind: 'published', events: await outbox.publish(id, () => records.get([id])) };
      case 'register': {
        const { participant } = action;
        const name = participants[participant]?.name ?? '';
        return resultOf(
          async () => ({
            kind: 'registered',
            participant,
            sessionId: await agents.register(record, participant, principal),
          }),
          (error) => ({ kind: 'fail', why: `Could not register the agent of ${name}: ${error.message}` }),
        );
      }
      case 'send':
        return turn === undefined ? undefined : this.#send(record, turn, principal);
      case 'cancel': {
        const cancelled = { kind: 'cancelled', messageId: action.turn.message_id } as const;
        return resultOf(
          async () => {
            await agents.cancel(action.turn, principal);
            return cancelled;
          },
          () => cancelled,
        );
      }
      case 'remove': {
        const removed = { kind: 'removed', participant: action.participant } as const;
        return resultOf(
          async () => {
            await agents.remove(participants[action.participant]?.agent_id ?? '', principal);
            return removed;
          },
          () => removed,
        );
      }
      default:
        return undefined;
    }
  }

  async #send(record: ConversationRecord, turn: Turn, principal: Principal): Promise<Trigger> {
    const { lines, messageSender } = this.#options;
    const { conversation_id: id, participants } = record;
    const unread = await lines.read(id, record.lines.slice(turn.from_line, turn.to_line));
    const message = {
      type: TURN_MESSAGE,
      to: participants[turn.participant]?.agent_id ?? '',
      message_id: turn.message_id,
      conversation_id: id,
      content: turnPrompt(record, turn, unread),
    };
    return resultOf(
      async () => {
        await messageSender.send(message, principal);
        return { kind: 'sent', turn: turn.turn };
      },
      (error) => ({
        kind: 'failure',
        messageId: turn.message_id,
        error: error.message,
        taskId: undefined,
        costUsd: 0,
      }),
    );
  }
}

/** The result of an action, or of its refusal if a retry would be refused too. @throws any error after which a retry may succeed. */
async function resultOf(work: () => Promise<Trigger>, refused: (error: ApiError) => Trigger): Promise<Trigger> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError) || error.retryable) throw error;
    return refused(error);
  }
}
