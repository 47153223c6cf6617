import type { Identity } from '../../contracts/agents/identities.js';
import { legacyAgentId } from './agent-ids.js';

/** As the old protocol shows it: whose it is was not said there. */
export function legacyIdentity({ owner: _owner, ...identity }: Identity): object {
  return { ...identity, agent_id: legacyAgentId(identity.agent_id) };
}
