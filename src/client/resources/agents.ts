import type {
  AgentChange,
  AgentPage,
  AgentRegistered,
  AgentRegistration,
  AgentView,
  AgentsQuery,
} from '../../../contracts/agents/agents.js';
import type {
  AgentSpawned,
  AgentSpawnRequest,
  TaskRouted,
  TaskRouteRequest,
} from '../../../contracts/agents/agent-spawn.js';
import { AgentInbox, type InboxOptions } from '../agent-inbox.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** Named participants: those that KSI runs, and clients of their own. Scope `agents` to change them. */
export class Agents {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Makes one, or brings one of yours up to date. @throws {KsiError} `agent_exists`: another owner's. */
  register(agent: AgentRegistration = {}, options: CallOptions = {}): Promise<AgentRegistered> {
    return this.#transport.call('agent_register', agent, options);
  }

  /**
   * Makes one of a profile or a composition, and gives it its task. That is one message however often it is sent, if `message_id` is given.
   * @throws {KsiError} `not_found`, `context_missing`, `composition_invalid`, `agent_exists`
   */
  spawn(request: AgentSpawnRequest = {}, options: CallOptions = {}): Promise<AgentSpawned> {
    return this.#transport.call('agent_spawn', request, options);
  }

  /** Gives a task to the agent whose capabilities fit best. @throws {KsiError} `no_suitable_agent`, `no_available_agent` */
  route(request: TaskRouteRequest, options: CallOptions = {}): Promise<TaskRouted> {
    return this.#transport.call('task_route', request, options);
  }

  /** By id. */
  list(query: AgentsQuery = {}, options: CallOptions = {}): Listing<AgentPage> {
    return listing(this.#transport, 'agents', query, options);
  }

  /** @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<AgentView> {
    return this.#transport.call('agent', { id }, options);
  }

  /** Absent fields do not change. @throws {KsiError} `revision_mismatch`: `revision` is given, and the agent has changed since. */
  update(id: string, change: AgentChange, options: CallOptions = {}): Promise<AgentView> {
    return this.#transport.call('agent_update', { id, ...change }, options);
  }

  /** Removes one with its inbox. @throws {KsiError} `not_found` */
  remove(id: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('agent_remove', { id }, options);
  }

  /** What comes for an agent: to read, to acknowledge, and to answer. Asks nothing yet. */
  inbox(id: string, options: InboxOptions = {}): AgentInbox {
    return new AgentInbox(this.#transport, id, options);
  }
}
