import type {
  AbandonedTurn,
  ConversationRecord,
  ParticipantRecord,
} from '../../contracts/conversations/conversations.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import type { Agents } from '../agents/agents.js';
import type { AgentSpawner } from '../agents/agent-spawner.js';
import { demand } from '../access/auth.js';
import { variablesFor } from './variables.js';
import type { Profiles } from '../agents/profiles.js';
import type { Principal } from '../access/principal.js';
import { defined } from '../defined.js';

export interface ParticipantAgentsOptions {
  readonly agents: Pick<Agents, 'remove'>;
  readonly spawner: Pick<AgentSpawner, 'spawn'>;
  readonly profiles: Pick<Profiles, 'get'>;
  /** Checks that tasks with these options may run. @throws {ApiError} */
  readonly admit: (options: Partial<SpawnRequest>, principal: Principal) => Promise<void>;
  /** Cancels the task of a turn's message, if there is one. @throws {ApiError} */
  readonly cancel: (turn: AbandonedTurn, principal: Principal) => Promise<void>;
}

/** Registers and removes the agents that a conversation makes for itself. Every operation can be repeated. */
export class ParticipantAgents {
  readonly #options: ParticipantAgentsOptions;

  constructor(options: ParticipantAgentsOptions) {
    this.#options = options;
  }

  /** Checks that the agent can be registered and its tasks may run. @throws {ApiError} */
  async check({ registration: { profile, options } = {} }: ParticipantRecord, principal: Principal): Promise<void> {
    // Each of its turns is a task of this principal.
    demand(principal, 'spawn');
    if (profile !== undefined) await this.#options.profiles.get(profile, principal);
    await this.#options.admit(options ?? {}, principal);
  }

  /**
   * Registers an agent from its profile, or from the composition of the conversation's mode.
   * @returns its session; undefined if the profile is for external agents. @throws {ApiError}
   */
  async register(record: ConversationRecord, index: number, principal: Principal): Promise<string | undefined> {
    const { spawner } = this.#options;
    const participant = record.participants[index];
    if (participant?.registration === undefined) return undefined;
    const { profile, role, options, agent_tools } = participant.registration;
    const { session_id: sessionId } = await spawner.spawn(
      defined({
        agent_id: participant.agent_id,
        ...(profile === undefined ? { composition: `conversation_${record.mode}` } : { profile }),
        role,
        options,
        agent_tools,
        variables: variablesFor(record, index),
      }),
      principal,
    );
    return sessionId;
  }

  /** @throws {ApiError} */
  remove(agentId: string, principal: Principal): Promise<void> {
    return this.#options.agents.remove(agentId, principal);
  }

  /** Cancels the task that the turn's message became or becomes. @throws {ApiError} */
  cancel(turn: AbandonedTurn, principal: Principal): Promise<void> {
    return this.#options.cancel(turn, principal);
  }
}
