import { uuidv7 } from '../uuid.js';
import {
  MAX_LINES,
  type AbandonedTurn,
  type Conversation,
  type ConversationAccepted,
  type ConversationRecord,
  type ConversationRequest,
  type ConversationsQuery,
  type ConversationTranscript,
  type ConversationTranscriptQuery,
  type SayRequest,
} from '../../contracts/conversations/conversations.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { sleep } from '../clock.js';
import { RETRY_MS } from '../retry.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { faultsOf, hasRoom, newRecord, sizeFaults } from './create.js';
import { conversationMarkdown } from './markdown.js';
import { REMOVE } from '../broker/records.js';
import type { EventHub } from '../events/hub.js';
import type { AgentRegistry } from '../agents/registry.js';
import { ApiError, expectRevision, withApiErrors, invalid } from '../errors/api-error.js';
import { PAGE_ITEMS, type Page } from '../../contracts/wire/page.js';
import { createdWithin, keyBefore, pageWith } from '../lists/page.js';
import { listedOwner, maySee, type Principal } from '../access/principal.js';
import { principalOf, type ConversationReconciler } from './reconciler.js';
import type { ConversationLines } from './lines.js';
import { requestHash } from '../tasks/accept/idempotency-keys.js';
import { newest, type ConversationRecords, type ConversationSummaries, type VersionedConversation } from './records.js';
import type { ParticipantAgents } from './participant-agents.js';
import { transition } from './transition.js';
import type { Trigger } from './trigger.js';
import { toConversationView } from './view.js';

export interface ConversationsOptions {
  readonly broker: Broker;
  readonly hub: Pick<EventHub, 'cursor'>;
  readonly registry: Pick<AgentRegistry, 'agent'>;
  readonly records: ConversationRecords;
  readonly summaries: ConversationSummaries;
  readonly lines: ConversationLines;
  readonly reconciler: Pick<ConversationReconciler, 'apply' | 'reconcile' | 'settled'>;
  readonly agents: Pick<ParticipantAgents, 'remove' | 'check' | 'cancel'>;
  /** Deletes the session of an agent that a conversation registered. @throws {ApiError} */
  readonly deleteSession: (sessionId: string, principal: Principal) => Promise<unknown>;
}

const MAX_TRIES = 20;
/** While this many events are unpublished, the API refuses further triggers by people, so that the record stays small. */
const MAX_PENDING = 64;
const DEFAULT_PERSON_NAME = 'person';

/** The operations on conversations, for HTTP and NATS alike. */
export class Conversations {
  readonly #options: ConversationsOptions;

  constructor(options: ConversationsOptions) {
    this.#options = options;
  }

  /** Begins a conversation. A repeated request with the same id answers with the same conversation. @throws {ApiError} invalid_request, not_found (an agent), conflict */
  async create(request: ConversationRequest, principal: Principal): Promise<ConversationAccepted> {
    const { broker, hub, records, lines, reconciler } = this.#options;
    const faults = faultsOf(request);
    if (faults.length > 0) throw invalid(faults);
    const { owner, tokenId } = principal;
    const conversationId = request.conversation_id ?? uuidv7();
    const now = broker.clock.now();
    const record = newRecord(request, { conversationId, owner, tokenId, now });
    const begun = transition(record, { kind: 'begin' }, now)?.record ?? record;
    const tooLarge = sizeFaults(request, begun);
    if (tooLarge.length > 0) throw invalid(tooLarge);
    await this.#checkParticipants(record, principal);
    const since = hub.cursor();
    const created = await withApiErrors(async () =>
      records.create([conversationId], { ...begun, begins_after: await lines.beginsAfter() }),
    );
    if (created === undefined) {
      const earlier = await this.#held(conversationId, { ...principal, seesAll: false }).catch(() => {
        throw new ApiError('conflict', `The conversation ${conversationId} exists already`, { final: true });
      });
      refuseOther(earlier.record, record);
      return { ...toConversationView(earlier), since };
    }
    reconciler.reconcile(conversationId);
    await reconciler.settled(conversationId);
    return { ...(await this.one(conversationId, principal)), since };
  }

  /** @throws {ApiError} not_found, also for another owner's conversation. */
  async one(id: string, principal: Principal): Promise<Conversation> {
    return toConversationView(await this.#held(id, principal));
  }

  /** Newest first. @throws {ApiError} invalid_cursor */
  async page(query: ConversationsQuery, principal: Principal): Promise<Page<Conversation>> {
    const { status, limit = PAGE_ITEMS, cursor } = query;
    const { records, summaries } = this.#options;
    const before = keyBefore('conversations', cursor);
    const rest = newest(summaries, listedOwner(principal, query.owner)).filter(
      ([id, { status: is, createdAt }]) =>
        is !== 'bad' &&
        (status === undefined || status.includes(is)) &&
        createdWithin(createdAt, query) &&
        (before === undefined || `${createdAt} ${id}` < before),
    );
    const page = rest.slice(0, limit);
    const [last] = rest.length > limit ? page.slice(-1) : [];
    const entries = await withApiErrors(() => Promise.all(page.map(([id]) => records.entry([id]))));
    return pageWith(
      'conversations',
      entries.flatMap(({ readable: record, revision }) =>
        record === undefined ? [] : toConversationView({ record, revision }),
      ),
      last && `${last[1].createdAt} ${last[0]}`,
    );
  }

  /** The transcript so far, as JSON or Markdown. @throws {ApiError} not_found */
  async transcript(id: string, { format }: ConversationTranscriptQuery, principal: Principal): Promise<string> {
    const transcript = await this.#transcript(id, principal);
    return format === 'markdown' ? conversationMarkdown(transcript) : JSON.stringify(transcript);
  }

  async #transcript(id: string, principal: Principal): Promise<ConversationTranscript> {
    const record = await this.#read(id, principal);
    const { conversation_id, topic, mode } = record;
    const lines = await withApiErrors(() => this.#options.lines.read(id, record.lines));
    return { conversation_id, topic, mode, lines };
  }

  /** A pause lets the current turn continue. An end cancels it. @throws {ApiError} not_found, conversation_ended */
  async steer(
    id: string,
    kind: 'pause' | 'resume' | 'end',
    principal: Principal,
    expected?: number,
  ): Promise<Conversation> {
    const held = await this.#held(id, principal);
    if (kind === 'end' && held.record.status === 'ended') return toConversationView(held);
    return this.#apply(id, { kind, by: principal.owner }, principal, expected);
  }

  /** Adds a person's line. @throws {ApiError} not_found, conversation_ended, invalid_request */
  async say(id: string, request: SayRequest, principal: Principal): Promise<Conversation> {
    const held = await this.#held(id, principal);
    const { record } = held;
    const { text, name = DEFAULT_PERSON_NAME, next, message_id: lineId = uuidv7() } = request;
    if (record.lines.includes(lineId)) return toConversationView(held);
    const index = next === undefined ? undefined : record.participants.findIndex((each) => each.name === next);
    if (index === -1)
      throw invalid([
        {
          field: 'next',
          message: `is not a participant. The participants are ${record.participants.map((each) => each.name).join(', ')}`,
        },
      ]);
    if (record.participants.some((each) => each.name === name))
      throw invalid([{ field: 'name', message: 'is the name of an agent in this conversation. Choose another name' }]);
    refuseEnded(record);
    const stored = await withApiErrors(() => this.#options.lines.textFor(id, lineId, text));
    return this.#apply(id, { kind: 'say', id: lineId, name, text: stored, next: index }, principal);
  }

  /**
   * Deletes a conversation, its transcript, and the sessions of the agents that it registered.
   * @throws {ApiError} not_found; not_ended: one of the sessions has an open task that is not a turn of this conversation.
   */
  delete(id: string, principal: Principal): Promise<void> {
    return this.#delete(id, principal, MAX_TRIES);
  }

  /** @param tries how often to try to delete a session with open tasks; undefined leaves such a session to the deletion of its owner. */
  async #delete(id: string, principal: Principal, tries?: number): Promise<void> {
    const { reconciler, records, agents } = this.#options;
    const { readable, owner } = await withApiErrors(() => records.entry([id]));
    if (readable === undefined && owner !== undefined && maySee(principal, owner))
      return this.#deleteData({ conversation_id: id, owner }, principal);
    const record = await this.#read(id, principal);
    if (record.status !== 'ended')
      await withApiErrors(() => reconciler.apply(id, { kind: 'end', by: principal.owner }));
    reconciler.reconcile(id);
    await reconciler.settled(id);
    const ownPrincipal = principalOf(record);
    const { participants, abandoned } = (await withApiErrors(() => records.get([id]))) ?? record;
    for (const { agent_id: agentId, registration } of participants)
      if (registration !== undefined) await agents.remove(agentId, ownPrincipal).catch(ignoreUnknown);
    for (const { registration } of participants)
      if (registration?.session_id !== undefined)
        await this.#deleteSession(registration.session_id, ownPrincipal, { abandoned, tries });
    await this.#deleteData(record, principal);
  }

  /** Deletes the transcript, then the record, valid or not. @throws {ApiError} */
  async #deleteData(
    {
      conversation_id: id,
      owner,
      begins_after: begins,
    }: Pick<ConversationRecord, 'conversation_id' | 'owner' | 'begins_after'>,
    principal: Principal,
  ): Promise<void> {
    const { broker, records, lines } = this.#options;
    await withApiErrors(async () => {
      await records.update([id], async ({ exists }) => {
        await lines.delete(id, begins);
        return exists ? REMOVE : undefined;
      });
      // Delete the lines that were written while the record was being deleted.
      await lines.delete(id, begins);
      const event = newEvent(broker.clock, 'CONVERSATION_DELETED', { conversation_id: id, owner, by: principal.owner });
      await broker.publisher.publish(eventPublication(event, SUBJECT.conversationEvent(id, 'deleted')));
    });
  }

  /** Deletes all conversations of an owner. A session stays if it has an open task that is not a turn. @throws {ApiError} */
  async owner(owner: string, principal: Principal): Promise<void> {
    for (const [id] of newest(this.#options.summaries, owner)) await this.#delete(id, principal).catch(ignoreUnknown);
  }

  /**
   * Retries while the session has open tasks. The read model may lag behind a cancellation, and the message of an abandoned turn may become a
   * task after its cancellation; then that task is cancelled here.
   */
  async #deleteSession(
    sessionId: string,
    principal: Principal,
    {
      abandoned,
      tries: maxTries,
    }: { readonly abandoned: readonly AbandonedTurn[]; readonly tries: number | undefined },
  ): Promise<void> {
    const { deleteSession, agents, broker } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        await deleteSession(sessionId, principal).catch(ignoreUnknown);
        return;
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'not_ended') throw error;
        if (maxTries === undefined) return;
        if (tries >= maxTries) throw error;
      }
      for (const turn of abandoned) await withApiErrors(() => agents.cancel(turn, principal)).catch(ignoreEnded);
      await sleep(broker.clock, RETRY_MS.waitedFor);
    }
  }

  async #apply(id: string, trigger: Trigger, principal: Principal, expected?: number): Promise<Conversation> {
    const held = await withApiErrors(() =>
      this.#options.reconciler.apply(id, trigger, ({ record, revision }) => {
        if (!maySee(principal, record.owner)) throw noConversation(id);
        expectRevision(expected, revision);
        refuseEnded(record);
        if (trigger.kind === 'say' && !hasRoom(record))
          throw new ApiError('conflict', `The conversation has reached its limit of ${MAX_LINES} lines`, {
            final: true,
          });
        if (trigger.kind !== 'end' && record.pending.length >= MAX_PENDING)
          throw new ApiError(
            'broker_unavailable',
            'Earlier events of this conversation are not published yet. Retry later',
          );
      }),
    );
    if (held === undefined) throw noConversation(id);
    return toConversationView(held);
  }

  async #read(id: string, principal: Principal): Promise<ConversationRecord> {
    return (await this.#held(id, principal)).record;
  }

  async #held(id: string, principal: Principal): Promise<VersionedConversation> {
    const { record, revision } = await withApiErrors(() => this.#options.records.entry([id]));
    if (record === undefined || !maySee(principal, record.owner)) throw noConversation(id);
    return { record, revision };
  }

  /** Existing agents must belong to the owner; new agents must be ones that can be registered. */
  async #checkParticipants({ participants }: ConversationRecord, principal: Principal): Promise<void> {
    const { registry, agents } = this.#options;
    for (const participant of participants) {
      if (participant.registration !== undefined) await agents.check(participant, principal);
      else await registry.agent(participant.agent_id, { ...principal, seesAll: false });
    }
  }
}

const noConversation = (id: string): ApiError => new ApiError('not_found', `There is no conversation ${id}`);

/** @throws {ApiError} conflict: another request made the conversation with this id. */
function refuseOther(earlier: ConversationRecord, record: ConversationRecord): void {
  if (requestHash(definitionOf(earlier)) !== requestHash(definitionOf(record)))
    throw new ApiError('conflict', `The conversation ${earlier.conversation_id} was made by another request`, {
      final: true,
    });
}

/** The part of a record that the request decides. */
const definitionOf = ({
  topic,
  mode,
  moderated,
  keep,
  max_turns,
  max_duration_s,
  turn_timeout_s,
  budget_usd,
  participants,
}: ConversationRecord): object => ({
  limits: { max_turns, max_duration_s, turn_timeout_s, budget_usd },
  topic,
  mode,
  moderated,
  keep,
  participants: participants.map(({ name, agent_id, part, registration }) => {
    const { session_id: _session, state: _state, ...requested } = registration ?? {};
    return { name, agent_id, part, requested };
  }),
});

function refuseEnded({ conversation_id: id, status, reason }: ConversationRecord): void {
  if (status === 'ended')
    throw new ApiError('conversation_ended', `The conversation ${id} has ended (${reason ?? ''})`);
}

function ignoreEnded(error: unknown): void {
  if (error instanceof ApiError && error.code === 'task_ended') return;
  ignoreUnknown(error);
}

/** A deletion continues if something is already deleted. */
function ignoreUnknown(error: unknown): void {
  if (error instanceof ApiError && error.status === 404) return;
  throw error;
}
