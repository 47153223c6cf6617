import type { IdentityUpdate } from '../../../contracts/agents/identities.js';
import { KsiError } from '../../client/errors.js';
import { defined } from '../../defined.js';
import { defaultName } from '../../prompts/identity-defaults.js';
import { ksiAgentId, legacyAgentId } from '../agent-ids.js';
import { LegacyError } from '../errors.js';
import { legacyIdentity, traitsOf, withTraits } from '../identity.js';
import { listing } from '../../client/listing.js';
import { fitting } from './fitting.js';
import { given, type Handler } from './handler.js';

/** Fields that an update cannot change. The old daemon ignored them too. */
const FIXED = new Set(['identity_uuid', 'agent_id', 'created_at', 'last_active', 'owner', 'revision']);

/** If the agent has an identity, this updates the given fields. The old daemon replaced the identity and its uuid. */
export const createIdentity: Handler<'CREATE_IDENTITY'> = async (parameters, { ksi }) => {
  const { agent_id, display_name, role, personality_traits } = parameters;
  const id = ksiAgentId(agent_id, 'parameters.agent_id');
  const traits = traitsOf(personality_traits ?? []);
  const fields = defined({
    // KSI derives its default name from its own id, which may be an encoded one.
    display_name: given(display_name) ?? (id === agent_id ? undefined : defaultName(agent_id, given(role))),
    role: given(role),
    personality_traits: traits.length === 0 ? undefined : traits,
  });
  let identity;
  try {
    identity = await ksi.call('identity_create', { agent_id: id, ...fields });
  } catch (error) {
    if (!(error instanceof KsiError) || error.status !== 409) throw error;
    identity = await ksi.call('identity_update', { agent_id: id, ...fields });
  }
  return { result: { status: 'identity_created', identity: legacyIdentity(identity) } };
};

export const updateIdentity: Handler<'UPDATE_IDENTITY'> = async ({ agent_id, updates }, { ksi }) => {
  const id = ksiAgentId(agent_id, 'parameters.agent_id');
  const change = withTraits(Object.fromEntries(Object.entries(updates).filter(([name]) => !FIXED.has(name))));
  const identity = await found(agent_id, ksi.call('identity_update', { agent_id: id, ...(change as IdentityUpdate) }));
  return { result: { status: 'identity_updated', identity: legacyIdentity(identity) } };
};

export const getIdentity: Handler<'GET_IDENTITY'> = async ({ agent_id }, { ksi }) => {
  const identity = await found(
    agent_id,
    ksi.call('identity', { agent_id: ksiAgentId(agent_id, 'parameters.agent_id') }),
  );
  return { result: { status: 'identity_found', identity: legacyIdentity(identity) } };
};

export const listIdentities: Handler<'LIST_IDENTITIES'> = async (_parameters, { ksi }) => {
  const identities: [string, object][] = [];
  const all = listing(ksi, 'identities', { limit: 500 });
  for await (const { agent_id, display_name, role, personality_traits, last_active, stats } of all)
    identities.push([legacyAgentId(agent_id), { display_name, role, personality_traits, last_active, stats }]);
  const { shown, ...omitted } = fitting(identities);
  return { result: { status: 'identities_listed', identities: shown, count: identities.length, ...omitted } };
};

export const removeIdentity: Handler<'REMOVE_IDENTITY'> = async ({ agent_id }, { ksi }) => {
  await found(agent_id, ksi.call('identity_remove', { agent_id: ksiAgentId(agent_id, 'parameters.agent_id') }));
  return { result: { status: 'identity_removed', agent_id } };
};

async function found<T>(agentId: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KsiError && error.status === 404)
      throw new LegacyError(
        'IDENTITY_NOT_FOUND',
        `${agentId} has no identity. Create one with CREATE_IDENTITY.`,
        error,
      );
    throw error;
  }
}
