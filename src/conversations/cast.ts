import type { Abandoned, ConversationRecord, SpeakerRecord } from '../../contracts/conversations/conversations.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import type { Agents } from '../agents/agents.js';
import type { Spawner } from '../agents/spawner.js';
import { demand } from '../access/auth.js';
import { variablesFor } from './variables.js';
import type { Profiles } from '../agents/profiles.js';
import type { Principal } from '../access/principal.js';
import { NO_SESSION, type Cast } from './conductor.js';

export interface AgentCastOptions {
  readonly agents: Pick<Agents, 'remove'>;
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
    // Its turns are runs of Claude, as whoever makes it says.
    demand(principal, 'spawn');
    if (profile !== undefined) await this.#options.profiles.get(profile, principal);
    await this.#options.admit({ prompt: '-', ...options }, principal);
  }

  /** Of its profile, or of the composition for those who talk in this mode. */
  async register(record: ConversationRecord, place: number, principal: Principal): Promise<string> {
    const { spawner } = this.#options;
    const speaker = record.speakers[place];
    if (speaker?.made === undefined) return NO_SESSION;
    const { profile, role, options, hands } = speaker.made;
    const { session_id: sessionId } = await spawner.spawn(
      {
        agent_id: speaker.agent_id,
        ...(profile === undefined ? { composition: `conversation_${record.mode}` } : { profile }),
        ...(role === undefined ? {} : { role }),
        ...(options === undefined ? {} : { options }),
        ...(hands === undefined ? {} : { hands }),
        variables: variablesFor(record, place),
      },
      principal,
    );
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
