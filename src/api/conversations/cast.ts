import type { Abandoned, SpeakerRecord } from '../../../contracts/conversations.js';
import type { SpawnRequest } from '../../../contracts/spawn.js';
import type { Agents } from '../agents/agents.js';
import type { Spawner } from '../agents/spawner.js';
import { taken } from '../accept/taken.js';
import type { Profiles } from '../profiles.js';
import type { Principal } from '../principal.js';
import { NO_SESSION, type Cast } from './conductor.js';

export interface AgentCastOptions {
  readonly agents: Pick<Agents, 'register' | 'remove'>;
  /** Makes those that have a profile. */
  readonly spawner: Pick<Spawner, 'spawn'>;
  readonly profiles: Pick<Profiles, 'get'>;
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

  async check({ made: { profile, options } = {} }: SpeakerRecord, principal: Principal): Promise<void> {
    if (profile !== undefined) await this.#options.profiles.get(profile, principal);
    await this.#options.admit({ prompt: '-', ...options }, principal);
  }

  async register({ agent_id, made: { profile, ...rest } = {} }: SpeakerRecord, principal: Principal): Promise<string> {
    const { agents, spawner } = this.#options;
    const asked = { agent_id, ...taken(rest, { role: true, options: true, hands: true }) };
    const { session_id: sessionId } =
      profile === undefined
        ? await agents.register({ ...asked, kind: 'managed' }, principal)
        : await spawner.spawn({ ...asked, profile }, principal);
    // One of a profile of external agents has none.
    return sessionId ?? NO_SESSION;
  }

  remove(agentId: string, principal: Principal): Promise<void> {
    return this.#options.agents.remove(agentId, principal);
  }

  cancel(turn: Abandoned, principal: Principal): Promise<void> {
    return this.#options.cancel(turn, principal);
  }
}
