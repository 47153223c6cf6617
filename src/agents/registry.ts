import type { Logger } from 'pino';
import { uuidv7 } from '../uuid.js';
import {
  AGENT_RECORDS,
  type Agent,
  type AgentChange,
  type AgentKind,
  type AgentRegistration,
  type AgentsQuery,
  type AgentStatus,
} from '../../contracts/agents/agents.js';
import type { EventData } from '../../contracts/events/events.js';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import { eventPublication, newEvent } from '../broker/events.js';
import type { Cached, KvCache, KvChange } from '../broker/kv-cache.js';
import { Records } from '../broker/records.js';
import { ApiError, expectRevision, withApiErrors, invalid } from '../errors/api-error.js';
import { maySee, type Principal } from '../access/principal.js';
import { AgentIndex } from './agent-index.js';
import { timestampOf } from '../clock.js';
import { defined } from '../defined.js';

const MAX_OPTIONS_BYTES = 400_000;
/** Per owner. */
const MAX_AGENTS = 20_000;

type Look = (id: string) => Promise<() => Promise<void>>;

export interface RegisteredAgent {
  readonly agent: Agent;
  readonly revision: number;
  /** The agent is new. */
  readonly created: boolean;
}

/** All agents, mirrored from the bucket `ksi_agents` into the memory of every API. A change arrives a moment after its write. */
export class AgentRegistry {
  readonly #broker: Broker;
  readonly #records: Records<typeof Agent, IdKey>;
  readonly #cache: KvCache<Agent>;
  readonly #index = new AgentIndex();
  readonly #most: number;
  /** Agents with unreadable records. They can only be deleted. */
  readonly #bad = new Set<string>();

  constructor(broker: Broker, log: Logger, most = MAX_AGENTS) {
    this.#broker = broker;
    this.#most = most;
    this.#records = new Records(broker, AGENT_RECORDS, log);
    this.#cache = this.#records.watch({
      of: (agent, id) => {
        this.#bad.delete(id);
        return agent;
      },
      bad: (_value, id) => {
        this.#bad.add(id);
        return undefined;
      },
      log,
    });
    this.#cache.onChange(({ before, now }) => this.#index.change(before, now));
  }

  /** Resolves once the agents are known. @throws {BrokerError} */
  start(): Promise<void> {
    return this.#cache.start();
  }

  stop(): Promise<void> {
    return this.#cache.stop();
  }

  get size(): number {
    return this.#cache.size;
  }

  /** Of any owner. */
  find(id: string): Cached<Agent> | undefined {
    return this.#cache.get(id);
  }

  /** Asks the broker about an unknown id, which another API may have just registered. @throws {ApiError} not_found (also for another owner's agent) */
  async agent(id: string, principal: Principal): Promise<Cached<Agent>> {
    const found = this.#cache.get(id) ?? (await withApiErrors(() => this.#fetch(id)));
    if (found === undefined || !maySee(principal, found.value.owner)) throw noAgent(id);
    return found;
  }

  /** Sorted by id, after `after`. */
  page(
    query: Omit<AgentsQuery, 'owner'> & { owner?: string | undefined; after?: string | undefined; limit: number },
    fits: (agent: Agent) => boolean = () => true,
  ): { agents: Cached<Agent>[]; more: boolean } {
    const found: Cached<Agent>[] = [];
    for (const id of this.#index.after(query.after)) {
      const cached = this.#cache.get(id);
      if (cached === undefined || !matches(cached.value, query) || !fits(cached.value)) continue;
      if (found.length >= query.limit) return { agents: found, more: true };
      found.push(cached);
    }
    return { agents: found, more: false };
  }

  entries(): IterableIterator<[string, Cached<Agent>]> {
    return this.#cache.entries();
  }

  /** All agents of an owner. */
  of(owner: string): Agent[] {
    return this.#index.of(owner).flatMap((id) => this.#cache.get(id)?.value ?? []);
  }

  /** For deletion: the record may be unreadable. @throws {ApiError} not_found (also for another owner's agent) */
  async named(id: string, principal: Principal): Promise<Pick<Agent, 'agent_id' | 'owner'>> {
    const { owner } = await withApiErrors(() => this.#records.entry([id]));
    if (owner === undefined || !maySee(principal, owner)) throw noAgent(id);
    return { agent_id: id, owner };
  }

  /** All agents of an owner, including those with unreadable records. @throws {BrokerError} */
  async allNamed(owner: string): Promise<Pick<Agent, 'agent_id' | 'owner'>[]> {
    const ids = this.#index.of(owner);
    for (const id of this.#bad) {
      const entry = await this.#records.entry([id]);
      if (!entry.exists) this.#bad.delete(id);
      else if (entry.owner === owner && !ids.includes(id)) ids.push(id);
    }
    return ids.map((id) => ({ agent_id: id, owner }));
  }

  /** The owner's agents that subscribe to messages of this type. */
  subscribers(owner: string, type: string): readonly string[] {
    return this.#index.subscribers(owner, type);
  }

  onChange(listener: (change: KvChange<Agent>) => void): () => void {
    return this.#cache.onChange(listener);
  }

  /**
   * Creates an agent, or updates the owner's existing one.
   * @param look notes the leftovers of an earlier agent of this id and returns a function that deletes them. It is called before a new
   * agent becomes visible.
   * @throws {ApiError} agent_exists, too_many, invalid_request
   */
  async register(request: AgentRegistration, principal: Principal, look: Look): Promise<RegisteredAgent> {
    refuseLarge(request.options);
    const id = request.agent_id ?? uuidv7();
    return withApiErrors(async () => {
      const { before, record, revision } = await this.#records.update(
        [id],
        async ({ record: stored, revision: at }) => {
          if (stored !== undefined && stored.owner !== principal.owner)
            throw new ApiError('agent_exists', `The agent id ${id} is taken. Choose another one`);
          if (stored === undefined) await this.#clearFor(id, at, principal.owner, look);
          const now = timestampOf(this.#broker.clock);
          return stored === undefined
            ? newAgent(id, request, principal.owner, now)
            : registeredAgain(stored, request, now);
        },
      );
      if (record === undefined) throw noAgent(id);
      await this.#publish(before.exists ? 'AGENT_UPDATED' : 'AGENT_REGISTERED', record);
      return { agent: record, revision, created: !before.exists };
    });
  }

  /** @throws {ApiError} not_found, revision_mismatch */
  async update(id: string, { revision, ...change }: AgentChange, principal: Principal): Promise<Cached<Agent>> {
    refuseLarge(change.options);
    await this.agent(id, principal);
    let oldStatus: AgentStatus | undefined;
    const changed = await withApiErrors(() =>
      this.#change(id, (agent, current) => {
        if (!maySee(principal, agent.owner)) throw noAgent(id);
        expectRevision(revision, current);
        oldStatus = agent.status;
        return change;
      }),
    );
    if (changed === undefined) throw noAgent(id);
    const { agent_id, owner, status } = changed.value;
    await withApiErrors(async () => {
      await this.#publish('AGENT_UPDATED', changed.value);
      if (oldStatus === status) return;
      const event = newEvent(this.#broker.clock, 'AGENT_STATUS', { agent_id, owner, status });
      await this.#broker.publisher.publish(eventPublication(event, SUBJECT.agentEvent(agent_id, 'status')));
    });
    return changed;
  }

  /**
   * Ends an agent by a signal. @param by the id of the message or task that gave the signal.
   * @returns whether the agent is ended. A signal takes effect once: after a reactivation, the same signal is ignored. @throws {BrokerError}
   */
  async end(id: string, by: string): Promise<boolean> {
    const changed = await this.#change(id, (agent) =>
      agent.ended_by === by ? undefined : { status: 'ended', ended_by: by },
    );
    return changed?.value.status === 'ended';
  }

  /** Deletes only the record. @throws {BrokerError} */
  async remove(id: string): Promise<void> {
    await this.#records.remove([id]);
  }

  /** Deletes leftovers of an earlier agent before a new one is stored. Skips that if the entry has changed: then the write will fail. */
  async #clearFor(id: string, before: number, owner: string, look: Look): Promise<void> {
    const clear = await look(id);
    if ((await this.#records.entry([id])).revision !== before) return;
    if (this.#index.count(owner) >= this.#most)
      throw new ApiError(
        'too_many',
        `${owner} already has ${this.#most} agents, which is the limit. Delete some first`,
      );
    await clear();
  }

  /** @param change may return undefined for no change. @returns undefined: there is no such agent. */
  async #change(
    id: string,
    change: (agent: Agent, revision: number) => Partial<Agent> | undefined,
  ): Promise<Cached<Agent> | undefined> {
    const { record, revision } = await this.#records.update([id], ({ record: agent, revision: current }) => {
      const changes = agent === undefined ? undefined : change(agent, current);
      if (agent === undefined || changes === undefined) return undefined;
      return { ...agent, ...changes, updated_at: timestampOf(this.#broker.clock) };
    });
    return record === undefined ? undefined : { value: record, revision };
  }

  async #fetch(id: string): Promise<Cached<Agent> | undefined> {
    const { revision, record } = await this.#records.entry([id]);
    if (record === undefined) return undefined;
    this.#cache.apply(id, record, revision);
    return { value: record, revision };
  }

  async #publish(type: 'AGENT_REGISTERED' | 'AGENT_UPDATED', agent: Agent): Promise<void> {
    const event = newEvent(this.#broker.clock, type, registeredEvent(agent));
    const subject = SUBJECT.agentEvent(agent.agent_id, type === 'AGENT_REGISTERED' ? 'registered' : 'updated');
    await this.#broker.publisher.publish(eventPublication(event, subject));
  }
}

const noAgent = (id: string): ApiError => new ApiError('not_found', `There is no agent ${id}`);

const kept = [
  'role',
  'capabilities',
  'subscriptions',
  'profile',
  'options',
  'agent_tools',
  'answers_replies',
  'exchange_limits',
] as const;
const given = (request: AgentRegistration): Partial<Agent> =>
  Object.fromEntries(kept.flatMap((name) => (request[name] === undefined ? [] : [[name, request[name]]])));

function newAgent(id: string, request: AgentRegistration, owner: string, now: string): Agent {
  const kind: AgentKind = request.kind ?? 'external';
  if (kind === 'external' && request.session_id !== undefined)
    throw invalid([{ field: 'session_id', message: 'is for managed agents only' }]);
  return {
    v: FORMAT_VERSION,
    agent_id: id,
    owner,
    kind,
    role: 'general',
    capabilities: [],
    subscriptions: [],
    ...given(request),
    status: 'active',
    ...(kind === 'managed' ? { session_id: request.session_id ?? uuidv7() } : {}),
    created_at: now,
    updated_at: now,
  };
}

function registeredAgain(stored: Agent, request: AgentRegistration, now: string): Agent {
  const kind = request.kind ?? stored.kind;
  const sessionId = kind === 'managed' ? (request.session_id ?? stored.session_id ?? uuidv7()) : undefined;
  const { session_id: _before, ...rest } = stored;
  return defined({
    ...rest,
    ...given(request),
    kind,
    // Registering again reactivates an ended agent.
    status: stored.status === 'ended' ? 'active' : stored.status,
    session_id: sessionId,
    updated_at: now,
  });
}

function refuseLarge(options: unknown): void {
  if (Buffer.byteLength(JSON.stringify(options ?? {})) > MAX_OPTIONS_BYTES)
    throw invalid([{ field: 'options', message: `must not be longer than ${MAX_OPTIONS_BYTES} bytes` }]);
}

const registeredEvent = (agent: Agent): EventData<'AGENT_REGISTERED'> =>
  defined({
    agent_id: agent.agent_id,
    owner: agent.owner,
    kind: agent.kind,
    role: agent.role,
    capabilities: agent.capabilities,
    subscriptions: agent.subscriptions,
    status: agent.status,
    session_id: agent.session_id,
  });

const matches = (
  agent: Agent,
  { owner, role, capability, kind, status }: Omit<AgentsQuery, 'owner'> & { owner?: string | undefined },
): boolean =>
  (owner === undefined || agent.owner === owner) &&
  (role === undefined || agent.role === role) &&
  (capability === undefined || agent.capabilities.includes(capability)) &&
  (kind === undefined || agent.kind === kind) &&
  (status === undefined || status.includes(agent.status));
