import type { Identity } from '../../contracts/agents/identities.js';
import { legacyAgentId } from './agent-ids.js';

/** An identity in the old protocol, which has no owner and no revision. */
export function legacyIdentity({ owner: _owner, revision: _revision, ...identity }: Identity): object {
  return { ...identity, agent_id: legacyAgentId(identity.agent_id) };
}
