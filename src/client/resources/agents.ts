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
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Agents: managed ones, which KSI runs, and external ones, which are clients of KSI. Changes need the scope `agents`. */
export class Agents extends Resource {
  /** Registers an agent, or updates it if you own it. @throws {KsiError} `agent_exists` if it belongs to another owner */
  register(agent: AgentRegistration = {}, options: CallOptions = {}): Promise<AgentRegistered> {
    return this.transport.call('agent_register', agent, options);
  }

  /**
   * Creates an agent from a profile or a composition and sends it its first task. Retries after a lost answer create nothing twice.
   * @throws {KsiError} `not_found`, `context_missing`, `composition_invalid`, `agent_exists`
   */
  spawn(request: AgentSpawnRequest = {}, options: CallOptions = {}): Promise<AgentSpawned> {
    return this.transport.call('agent_spawn', request, options);
  }

  /** Sends a task to the agent whose capabilities match best. @throws {KsiError} `no_suitable_agent`, `no_available_agent` */
  route(request: TaskRouteRequest, options: CallOptions = {}): Promise<TaskRouted> {
    return this.transport.call('task_route', request, options);
  }

  /** Lists agents by id. */
  list(query: AgentsQuery = {}, options: CallOptions = {}): Listing<AgentPage> {
    return listing(this.transport, 'agents', query, options);
  }

  /** Gets an agent. @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<AgentView> {
    return this.transport.call('agent', { id }, options);
  }

  /** Changes an agent. Absent fields do not change. @throws {KsiError} `not_found`, `revision_mismatch` if `revision` is not the current one */
  update(id: string, change: AgentChange, options: CallOptions = {}): Promise<AgentView> {
    return this.transport.call('agent_update', { id, ...change }, options);
  }

  /** Removes an agent with its inbox. @throws {KsiError} `not_found` */
  remove(id: string, options: CallOptions = {}): Promise<void> {
    return this.transport.call('agent_remove', { id }, options);
  }

  /** An agent's inbox, to read, acknowledge and answer its messages. Makes no request. */
  inbox(id: string, options: InboxOptions = {}): AgentInbox {
    return new AgentInbox(this.transport, id, options);
  }
}
