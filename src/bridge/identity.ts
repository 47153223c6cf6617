import type { Identity } from '../../contracts/agents/identities.js';
import { legacyAgentId } from './agent-ids.js';

/** An identity in the old protocol, which has no owner field. */
export function legacyIdentity({ owner: _owner, ...identity }: Identity): object {
  return { ...identity, agent_id: legacyAgentId(identity.agent_id) };
}
