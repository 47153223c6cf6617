import { v7 as uuidv7 } from 'uuid';
import type {
  Abandoned,
  Conversation,
  ConversationAccepted,
  ConversationPage,
  ConversationRecord,
  ConversationRequest,
  ConversationsQuery,
  ConversationTranscript,
  ConversationTranscriptQuery,
  SayRequest,
} from '../../contracts/conversations/conversations.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { sleep } from '../clock.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { faultsOf, hasRoom, recordFor, sizeFaults } from './begin.js';
import { decide, type Happening } from './decide.js';
import { conversationMarkdown } from './markdown.js';
import { REMOVE } from '../broker/records.js';
import type { EventHub } from '../events/hub.js';
import type { AgentRegistry } from '../agents/registry.js';
import { ApiError, guarded, invalid } from '../errors/api-error.js';
import { decodeConversationPage, encodePage } from '../lists/page-cursor.js';
import { maySee, type Principal } from '../access/principal.js';
import { NO_SESSION, speakerOf, type Cast, type Conductor } from './conductor.js';
import type { ConversationLines } from './lines.js';
import { newest, type ConversationRecords, type Digests } from './records.js';
import { shownOf } from './shown.js';

export interface ConversationsOptions {
  readonly broker: Broker;
  readonly hub: Pick<EventHub, 'cursor'>;
  readonly registry: Pick<AgentRegistry, 'agent'>;
  readonly records: ConversationRecords;
  readonly digests: Digests;
  readonly lines: ConversationLines;
  readonly conductor: Conductor;
  readonly cast: Pick<Cast, 'remove' | 'check' | 'cancel'>;
  /** Deletes the sessions of agents that were made for a conversation. @throws {ApiError} */
  readonly deleteSession: (sessionId: string, principal: Principal) => Promise<unknown>;
}

const DEFAULT_LIMIT = 50;
const MAX_TRIES = 20;
const NOT_ENDED_MS = 250;
/** Events that are not told yet: the record keeps no more for people. */
const MOST_PENDING = 64;
const PERSON = 'person';

/** What may be done with conversations, for a principal: over HTTP and NATS alike. */
export class Conversations {
  readonly #options: ConversationsOptions;

  constructor(options: ConversationsOptions) {
    this.#options = options;
  }

  /** Begins one; asked for again under its id it is the same. @throws {ApiError} invalid_request, not_found (an agent), conflict */
  async create(request: ConversationRequest, principal: Principal): Promise<ConversationAccepted> {
    const { broker, hub, records, lines, conductor } = this.#options;
    const faults = faultsOf(request);
    if (faults.length > 0) throw invalid(faults);
    const { owner, tokenId } = principal;
    const conversationId = request.conversation_id ?? uuidv7();
    const now = broker.clock.now();
    const record = recordFor(request, { conversationId, owner, tokenId, now });
    const begun = decide(record, { kind: 'begin' }, now)?.record ?? record;
    const tooLarge = sizeFaults(request, begun);
    if (tooLarge.length > 0) throw invalid(tooLarge);
    await this.#checkCast(record, principal);
    const since = hub.cursor();
    const created = await guarded(async () =>
      records.create([conversationId], { ...begun, begins_after: await lines.beginsAfter() }),
    );
    if (created === undefined) {
      const earlier = await this.#held(conversationId, { ...principal, seesAll: false }).catch(() => {
        throw new ApiError('conflict', `There is a conversation ${conversationId} already`, { final: true });
      });
      return { ...shownOf(earlier), since };
    }
    conductor.drive(conversationId);
    await conductor.settled(conversationId);
    return { ...(await this.one(conversationId, principal)), since };
  }

  /** @throws {ApiError} not_found also for another owner's. */
  async one(id: string, principal: Principal): Promise<Conversation> {
    return shownOf(await this.#held(id, principal));
  }

  /** The newest first. @throws {ApiError} invalid_cursor */
  async page(
    { status, limit = DEFAULT_LIMIT, cursor }: ConversationsQuery,
    principal: Principal,
  ): Promise<ConversationPage> {
    const { records, digests } = this.#options;
    const all = newest(digests, principal.seesAll ? undefined : principal.owner).filter(
      ([, digest]) => digest.status !== 'bad' && (status === undefined || digest.status === status),
    );
    const before = cursor === undefined ? undefined : decodeConversationPage(cursor);
    const from = before === undefined ? 0 : all.findIndex(([id, { createdAt }]) => `${createdAt} ${id}` < before);
    const page = from === -1 ? [] : all.slice(from, from + limit);
    const last = page.at(-1);
    const held = await guarded(() => Promise.all(page.map(([id]) => records.entry([id]))));
    return {
      conversations: held.flatMap(({ readable }) => (readable === undefined ? [] : shownOf(readable))),
      ...(last !== undefined && from + limit < all.length
        ? { next_cursor: encodePage(`${last[1].createdAt} ${last[0]}`) }
        : {}),
    };
  }

  /** What was said so far, as JSON or to read. @throws {ApiError} not_found */
  async transcript(id: string, { format }: ConversationTranscriptQuery, principal: Principal): Promise<string> {
    const said = await this.#said(id, principal);
    return format === 'markdown' ? conversationMarkdown(said) : JSON.stringify(said);
  }

  async #said(id: string, principal: Principal): Promise<ConversationTranscript> {
    const record = await this.#held(id, principal);
    const { conversation_id, topic, mode } = record;
    const lines = await guarded(() => this.#options.lines.read(id, record.lines));
    return { conversation_id, topic, mode, lines };
  }

  /** Whoever has the word keeps it while it is paused; ended, it is taken from him. @throws {ApiError} not_found, conversation_ended */
  async steer(id: string, kind: 'pause' | 'resume' | 'end', principal: Principal): Promise<Conversation> {
    const record = await this.#held(id, principal);
    if (kind === 'end' && record.status === 'ended') return shownOf(record);
    return this.#happen(id, { kind, by: principal.owner }, principal);
  }

  /** A person says something. @throws {ApiError} not_found, conversation_ended, invalid_request */
  async say(id: string, request: SayRequest, principal: Principal): Promise<Conversation> {
    const record = await this.#held(id, principal);
    const { text, name = PERSON, next, message_id: lineId = uuidv7() } = request;
    if (record.lines.includes(lineId)) return shownOf(record);
    const place = next === undefined ? undefined : record.speakers.findIndex((each) => each.name === next);
    if (place === -1)
      throw invalid([
        {
          field: 'next',
          message: `names nobody here: there is ${record.speakers.map((each) => each.name).join(', ')}`,
        },
      ]);
    if (record.speakers.some((each) => each.name === name))
      throw invalid([{ field: 'name', message: `is that of an agent of the conversation` }]);
    refuseEnded(record);
    const stored = await guarded(() => this.#options.lines.textFor(id, lineId, text));
    return this.#happen(id, { kind: 'say', id: lineId, name, text: stored, next: place }, principal);
  }

  /**
   * With all that was said, and the sessions of the agents that were made for it.
   * @throws {ApiError} not_found; not_ended: a task in one of them that is no turn goes on.
   */
  delete(id: string, principal: Principal): Promise<void> {
    return this.#delete(id, principal, MAX_TRIES);
  }

  /** @param tries undefined: sessions with open tasks are left to whoever deletes all that is the owner's. */
  async #delete(id: string, principal: Principal, tries?: number): Promise<void> {
    const { conductor, records, cast } = this.#options;
    const { readable, owner } = await guarded(() => records.entry([id]));
    if (readable === undefined && owner !== undefined && maySee(principal, owner))
      return this.#remove({ conversation_id: id, owner }, principal);
    const record = await this.#held(id, principal);
    if (record.status !== 'ended') await guarded(() => conductor.happen(id, { kind: 'end', by: principal.owner }));
    conductor.drive(id);
    await conductor.settled(id);
    const mine = speakerOf(record);
    const { speakers, abandoned } = (await guarded(() => records.get([id]))) ?? record;
    for (const { agent_id: agentId, made } of speakers)
      if (made !== undefined) await cast.remove(agentId, mine).catch(ignoreUnknown);
    for (const { made } of speakers)
      if (made?.session_id !== undefined && made.session_id !== NO_SESSION)
        await this.#deleteSession(made.session_id, mine, { abandoned, tries });
    await this.#remove(record, principal);
  }

  /** What was said, and then its record, whether that is good or bad. @throws {ApiError} */
  async #remove(
    {
      conversation_id: id,
      owner,
      begins_after: begins,
    }: Pick<ConversationRecord, 'conversation_id' | 'owner' | 'begins_after'>,
    principal: Principal,
  ): Promise<void> {
    const { broker, records, lines } = this.#options;
    await guarded(async () => {
      await records.update([id], async ({ exists }) => {
        await lines.remove(id, begins);
        return exists ? REMOVE : undefined;
      });
      // What was on its way when its state went.
      await lines.remove(id, begins);
      const event = newEvent(broker.clock, 'CONVERSATION_DELETED', { conversation_id: id, owner, by: principal.owner });
      await broker.publisher.publish(eventPublication(event, SUBJECT.conversationEvent(id, 'deleted')));
    });
  }

  /** All of an owner's; sessions in which tasks go on that are no turns are left. @throws {ApiError} */
  async owner(owner: string, principal: Principal): Promise<void> {
    for (const [id] of newest(this.#options.digests, owner)) await this.#delete(id, principal).catch(ignoreUnknown);
  }

  /**
   * The read model may still show a task as open that has just been cancelled. And a turn that was being taken when it was to be cancelled
   * may have become a task after that.
   */
  async #deleteSession(
    sessionId: string,
    principal: Principal,
    { abandoned, tries: most }: { readonly abandoned: readonly Abandoned[]; readonly tries: number | undefined },
  ): Promise<void> {
    const { deleteSession, cast, broker } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        await deleteSession(sessionId, principal).catch(ignoreUnknown);
        return;
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'not_ended') throw error;
        if (most === undefined) return;
        if (tries >= most) throw error;
      }
      for (const turn of abandoned) await guarded(() => cast.cancel(turn, principal)).catch(ignoreEnded);
      await sleep(broker.clock, NOT_ENDED_MS);
    }
  }

  async #happen(id: string, happening: Happening, principal: Principal): Promise<Conversation> {
    const record = await guarded(() =>
      this.#options.conductor.happen(id, happening, (record) => {
        if (!maySee(principal, record.owner)) throw noConversation(id);
        refuseEnded(record);
        if (happening.kind === 'say' && !hasRoom(record))
          throw new ApiError('conflict', 'The conversation is so long that nobody can say anything more in it', {
            final: true,
          });
        if (happening.kind !== 'end' && record.pending.length >= MOST_PENDING)
          throw new ApiError('broker_unavailable', 'The broker has not taken what happened in the conversation before');
      }),
    );
    if (record === undefined) throw noConversation(id);
    return shownOf(record);
  }

  async #held(id: string, principal: Principal): Promise<ConversationRecord> {
    const record = await guarded(() => this.#options.records.get([id]));
    if (record === undefined || !maySee(principal, record.owner)) throw noConversation(id);
    return record;
  }

  /** Those that are there must be the owner's, and those to be made must be what can be made. */
  async #checkCast({ speakers }: ConversationRecord, principal: Principal): Promise<void> {
    const { registry, cast } = this.#options;
    for (const speaker of speakers) {
      if (speaker.made !== undefined) await cast.check(speaker, principal);
      else await registry.agent(speaker.agent_id, { ...principal, seesAll: false });
    }
  }
}

const noConversation = (id: string): ApiError => new ApiError('not_found', `There is no conversation ${id}`);

function refuseEnded({ conversation_id: id, status, reason }: ConversationRecord): void {
  if (status === 'ended')
    throw new ApiError('conversation_ended', `The conversation ${id} has ended (${reason ?? ''})`);
}

function ignoreEnded(error: unknown): void {
  if (error instanceof ApiError && error.code === 'task_ended') return;
  ignoreUnknown(error);
}

/** What is gone already is no reason to stop. */
function ignoreUnknown(error: unknown): void {
  if (error instanceof ApiError && error.status === 404) return;
  throw error;
}
