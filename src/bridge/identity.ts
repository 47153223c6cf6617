import type { Identity } from '../../contracts/agents/identities.js';
import { isRecord } from '../json.js';
import { legacyAgentId } from './agent-ids.js';

/** An identity in the old protocol, which has no owner and no revision. */
export function legacyIdentity({ owner: _owner, revision: _revision, ...identity }: Identity): object {
  return { ...identity, agent_id: legacyAgentId(identity.agent_id) };
}

/** The traits of an identity, from a list or from the old daemon's object: `{"patient": true, "humour": "dry"}` is `patient` and `humour: dry`. */
export function traitsOf(traits: readonly string[] | Readonly<Record<string, unknown>>): string[] {
  if (Array.isArray(traits)) return [...(traits as readonly string[])];
  return Object.entries(traits)
    .filter(([, value]) => value !== false && value !== null)
    .map(([name, value]) =>
      value === true || value === '' ? name : `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
}

/** Fields of an identity, with its traits as a list. */
export const withTraits = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const { personality_traits: traits } = fields;
  return isRecord(traits) ? { ...fields, personality_traits: traitsOf(traits) } : { ...fields };
};
