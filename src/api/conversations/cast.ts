import type { Abandoned, SpeakerRecord } from '../../../contracts/conversations.js';
import type { SpawnRequest } from '../../../contracts/spawn.js';
import type { Agents } from '../agents/agents.js';
import { ApiError } from '../api-error.js';
import type { Principal } from '../principal.js';
import type { Cast } from './conductor.js';

export interface AgentCastOptions {
  readonly agents: Pick<Agents, 'register' | 'remove'>;
  /** Whether tasks with these options may run. @throws {ApiError} */
  readonly admit: (request: SpawnRequest, principal: Principal) => Promise<void>;
  /** Ends the task of a message, if it has become one. @throws {ApiError} */
  readonly cancel: (turn: Abandoned, principal: Principal) => Promise<void>;
}

/** The agents of conversations, as managed agents like others. */
export class AgentCast implements Cast {
  readonly #options: AgentCastOptions;

  constructor(options: AgentCastOptions) {
    this.#options = options;
  }

  async check({ made }: SpeakerRecord, principal: Principal): Promise<void> {
    await this.#options.admit({ prompt: '-', ...made?.options }, principal);
  }

  async register({ agent_id, made }: SpeakerRecord, principal: Principal): Promise<string> {
    const { role, options, hands, profile } = made ?? {};
    const { session_id } = await this.#options.agents.register(
      {
        agent_id,
        kind: 'managed',
        ...(role === undefined ? {} : { role }),
        ...(profile === undefined ? {} : { profile }),
        ...(options === undefined ? {} : { options }),
        ...(hands === undefined ? {} : { hands }),
      },
      principal,
    );
    if (session_id === undefined) throw new ApiError('internal', `The agent ${agent_id} has no session`);
    return session_id;
  }

  remove(agentId: string, principal: Principal): Promise<void> {
    return this.#options.agents.remove(agentId, principal);
  }

  cancel(turn: Abandoned, principal: Principal): Promise<void> {
    return this.#options.cancel(turn, principal);
  }
}
