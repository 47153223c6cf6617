import type { Logger } from 'pino';
import { AGENT_PRESENCE_TTL_S } from '../../contracts/agents/agents.js';
import type {
  Agent,
  AgentChange,
  AgentRegistered,
  AgentRegistration,
  AgentView,
  AgentsQuery,
} from '../../contracts/agents/agents.js';
import type {
  InboxAck,
  InboxAcked,
  InboxMessage,
  InboxQuery,
  MessageAccepted,
  MessageRequest,
} from '../../contracts/agents/messages.js';
import type { Profile } from '../../contracts/agents/profiles.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { Cached } from '../broker/kv-cache.js';
import type { EventHub } from '../events/hub.js';
import { withApiErrors } from '../errors/api-error.js';
import type { ApprovalRules } from '../tasks/approvals/rules.js';
import { demand } from '../access/auth.js';
import { PAGE_ITEMS, type Page } from '../../contracts/wire/page.js';
import { createdWithin, keyBefore, pageWith } from '../lists/page.js';
import { listedOwner, LOCAL, onBehalfOf, type Principal } from '../access/principal.js';
import { mergeProfile } from './merge-profile.js';
import type { Exchanges } from '../access/exchanges.js';
import { Inboxes } from './inbox.js';
import { MessageSender, type InternalFields } from './message-sender.js';
import { InboxCursors } from './inbox-cursors.js';
import { PresenceRegistry } from './presence.js';
import { AgentRegistry } from './registry.js';
import { AgentDeletion } from './agent-deletion.js';
import { defined } from '../defined.js';

export interface AgentsOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly hub: Pick<EventHub, 'cursor'>;
  readonly exchanges: Pick<Exchanges, 'limit' | 'count' | 'note'>;
  readonly approvalRules: Pick<ApprovalRules, 'removeOfAgent'>;
  /** Checks that tasks with these options may run. @throws {ApiError} */
  readonly admit: (options: Partial<SpawnRequest>, principal: Principal) => Promise<void>;
  /** @throws {ApiError} not_found */
  readonly profile: (name: string, principal: Principal) => Promise<Profile>;
  /** The agents that connect to the broker themselves. */
  readonly nativeIds: readonly string[];
  readonly log: Logger;
  /** Aborts when the API begins to shut down, which ends every long poll. */
  readonly closing: AbortSignal;
}

/** A long poll renews its agent's presence at this interval. */
const PRESENCE_RENEWAL_MS = (AGENT_PRESENCE_TTL_S * 1_000) / 2;

/** A sequence in KSI_MESSAGES. */
const SEQ = /^[1-9][0-9]{0,15}$/;

/** The operations on agents and their messages, for HTTP, NATS and WebSocket. Each checks what the principal may do. */
export class Agents {
  readonly registry: AgentRegistry;
  readonly presence: PresenceRegistry;
  readonly positions: InboxCursors;
  readonly inboxes: Inboxes;
  readonly messageSender: MessageSender;
  readonly remover: AgentDeletion;
  readonly #options: AgentsOptions;

  constructor(options: AgentsOptions) {
    const { broker, blobs, hub, exchanges, log } = options;
    this.#options = options;
    this.registry = new AgentRegistry(broker, log);
    this.presence = new PresenceRegistry(broker, log);
    this.positions = new InboxCursors(broker, log);
    this.inboxes = new Inboxes({ broker, blobs, positions: this.positions, log });
    this.messageSender = new MessageSender({
      broker,
      blobs,
      hub,
      registry: this.registry,
      presence: this.presence,
      exchanges,
      log,
    });
    const { registry, presence, positions } = this;
    const { approvalRules } = options;
    this.remover = new AgentDeletion({ broker, blobs, registry, presence, positions, approvalRules });
  }

  /** Resolves once the agents are known. @throws {BrokerError} */
  async start(): Promise<void> {
    await this.registry.start();
    await this.presence.start();
  }

  async stop(): Promise<void> {
    await this.presence.stop();
    await this.registry.stop();
  }

  /** @throws {ApiError} forbidden, agent_exists, invalid_request */
  async register(registration: AgentRegistration, principal: Principal): Promise<AgentRegistered> {
    const request = await this.#withProfile(registration, principal);
    demandFor(request, principal);
    this.#demandForNative(request.agent_id, principal);
    const { options, session_id: session } = request;
    await this.#admit(session === undefined ? options : { ...options, session_id: session }, principal);
    // A new agent must not receive messages that were meant for an earlier agent of the same id.
    const { agent, revision } = await this.registry.register(request, principal, (id) => this.remover.look(id));
    const { agent_id, session_id } = agent;
    return defined({ agent_id, status: 'registered', session_id, revision });
  }

  /** Sorted by id. @throws {ApiError} invalid_cursor, forbidden */
  page(query: AgentsQuery, principal: Principal): Page<AgentView> {
    const { connected, cursor, limit = PAGE_ITEMS, ...filter } = query;
    const owner = listedOwner(principal, query.owner);
    const fits = ({ agent_id: id, created_at: created }: Agent): boolean =>
      (connected === undefined || this.presence.connected(id) === connected) && createdWithin(created, query);
    const { agents, more } = this.registry.page({ ...filter, owner, after: keyBefore('agents', cursor), limit }, fits);
    const next = more ? agents.at(-1)?.value.agent_id : undefined;
    return pageWith(
      'agents',
      agents.map((cached) => this.#toView(cached)),
      next,
    );
  }

  /** @throws {ApiError} not_found */
  async one(id: string, principal: Principal): Promise<AgentView> {
    const cached = await this.registry.agent(id, principal);
    return { ...this.#toView(cached), unread: await withApiErrors(() => this.inboxes.unread(id)) };
  }

  /** @throws {ApiError} forbidden, not_found, revision_mismatch */
  async update(id: string, change: AgentChange, principal: Principal): Promise<AgentView> {
    const { owner } = (await this.registry.agent(id, principal)).value;
    demandFor(change.profile === undefined ? change : { kind: 'managed' }, principal);
    await this.#admit(change.options, onBehalfOf(principal, owner));
    return this.#toView(await this.registry.update(id, change, principal));
  }

  /** Deletes an agent and its inbox. @throws {ApiError} not_found */
  async remove(id: string, principal: Principal): Promise<void> {
    const agent = await this.registry.named(id, principal);
    await withApiErrors(() => this.remover.remove(agent, principal.owner));
  }

  /** @throws {ApiError} not_found (also for another owner's agent), no_suitable_agent, no_available_agent */
  send(request: MessageRequest, principal: Principal, within?: InternalFields): Promise<MessageAccepted> {
    return this.messageSender.send(request, principal, within);
  }

  /** The unacknowledged messages. If there are none, waits up to `wait` seconds for the first. @throws {ApiError} not_found */
  async inbox(
    id: string,
    query: InboxQuery,
    principal: Principal,
    disconnected?: AbortSignal,
  ): Promise<Page<InboxMessage>> {
    const { value: agent } = await this.registry.agent(id, principal);
    const { closing } = this.#options;
    const signal = disconnected === undefined ? closing : AbortSignal.any([disconnected, closing]);
    const { limit = PAGE_ITEMS, after = 0, cursor } = query;
    const options = { limit, after: Math.max(after, Number(keyBefore('inbox', cursor, SEQ) ?? 0)), signal };
    const until = performance.now() + (query.wait ?? 0) * 1_000;
    return withApiErrors(async () => {
      for (;;) {
        if (agent.kind === 'external') await this.presence.polled(agent);
        const left = until - performance.now();
        const waitMs = Math.max(0, Math.min(left, PRESENCE_RENEWAL_MS));
        const { messages, more } = await this.inboxes.readOrWait(agent, { ...options, waitMs });
        if (messages.length > 0 || left <= PRESENCE_RENEWAL_MS || signal.aborted)
          return pageWith('inbox', messages, more ? messages.at(-1)?.seq.toString() : undefined);
      }
    });
  }

  /** @throws {ApiError} not_found, invalid_request */
  async ack(id: string, { seq }: InboxAck, principal: Principal): Promise<InboxAcked> {
    const { value: agent } = await this.registry.agent(id, principal);
    const { now } = await withApiErrors(() => this.inboxes.take(agent, seq));
    return { seq: now };
  }

  /**
   * An agent's owner can act through the broker user of the same name. Only an admin may therefore register an id that the operator has
   * listed in KSI_NATS_AGENTS.
   * @throws {ApiError} forbidden
   */
  #demandForNative(id: string | undefined, principal: Principal): void {
    if (id === undefined || !this.#options.nativeIds.includes(id) || principal.owner === LOCAL.owner) return;
    if (this.registry.find(id)?.value.owner !== principal.owner) demand(principal, 'admin');
  }

  #toView({ value, revision }: Cached<Agent>): AgentView {
    return { ...value, connected: this.presence.connected(value.agent_id), revision };
  }

  /** Fills absent fields from the profile. @throws {ApiError} not_found */
  async #withProfile(request: AgentRegistration, principal: Principal): Promise<AgentRegistration> {
    if (request.profile === undefined) return request;
    return { ...request, ...mergeProfile(request, await this.#options.profile(request.profile, principal)) };
  }

  /** Refuses options now with which every later task would be refused. */
  async #admit(options: Partial<SpawnRequest> | undefined, principal: Principal): Promise<void> {
    if (options !== undefined) await this.#options.admit(options, principal);
  }
}

/** The settings of a managed agent determine what Claude runs for each message, so changing them needs the scope `spawn`. */
function demandFor(
  {
    kind,
    options,
    agent_tools,
    session_id: session,
  }: Pick<AgentRegistration, 'kind' | 'options' | 'agent_tools' | 'session_id'>,
  by: Principal,
): void {
  if (kind === 'managed' || options !== undefined || agent_tools !== undefined || session !== undefined)
    demand(by, 'spawn');
}
