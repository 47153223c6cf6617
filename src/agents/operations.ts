import type { IDENTITY_OPERATIONS } from '../../contracts/agents/identity-operations.js';
import type { AGENT_OPERATIONS } from '../../contracts/agents/operations.js';
import type { PROFILE_OPERATIONS } from '../../contracts/agents/profile-operations.js';
import type { SHARED_OPERATIONS } from '../../contracts/agents/shared-operations.js';
import type { Handlers } from '../access/handlers.js';
import type { Access } from '../access/start.js';
import type { AgentsService } from './start.js';

export const agentHandlers = ({
  agents,
  spawner,
  authenticator,
}: Pick<AgentsService, 'agents' | 'spawner'> & Pick<Access, 'authenticator'>): Handlers<typeof AGENT_OPERATIONS> => ({
  agents: (query, { principal }) => agents.page(query, principal),
  agent: ({ id }, { principal }) => agents.one(id, principal),
  agent_register: (request, { principal }) => agents.register(request, principal),
  agent_spawn: (request, { principal, id }) => spawner.spawn({ message_id: id, ...request }, principal, id),
  task_route: (request, { principal, id }) => spawner.route({ message_id: id, ...request }, principal),
  agent_update: ({ id, ...change }, { principal }) => agents.update(id, change, principal),
  agent_remove: ({ id }, { principal }) => agents.remove(id, principal),
  send: (message, { principal, id }) => agents.send({ message_id: id, ...message }, principal),
  agent_send: ({ id, ...message }, { principal, id: callId }) =>
    agents.send({ message_id: callId, ...message, to: id }, principal),
  inbox: ({ id, ...query }, { principal, signal }) =>
    authenticator.whileValid(principal, (valid) =>
      agents.inbox(id, query, principal, AbortSignal.any([signal, valid])),
    ),
  inbox_ack: ({ id, ...ack }, { principal }) => agents.ack(id, ack, principal),
});

export const sharedHandlers = ({ shared }: Pick<AgentsService, 'shared'>): Handlers<typeof SHARED_OPERATIONS> => ({
  shared_list: (query, { principal }) => shared.page(query, principal),
  shared_get: ({ key, ...query }, { principal }) => shared.get(key, principal, query),
  shared_set: ({ key, value, revision }, { principal }) => shared.set(value, { key, revision }, principal),
  shared_delete: ({ key, revision }, { principal }) => shared.delete({ key, revision }, principal),
});

export const identityHandlers = ({
  identities,
}: Pick<AgentsService, 'identities'>): Handlers<typeof IDENTITY_OPERATIONS> => ({
  identities: (query, { principal }) => identities.page(query, principal),
  identity: ({ agent_id: id }, { principal }) => identities.get(id, principal),
  identity_create: (request, { principal, id }) => identities.create(request, principal, id),
  identity_update: ({ agent_id: id, ...update }, { principal }) => identities.update(id, update, principal),
  identity_remove: ({ agent_id: id, revision }, { principal }) => identities.remove(id, principal, revision),
});

export const profileHandlers = ({
  profiles,
}: Pick<AgentsService, 'profiles'>): Handlers<typeof PROFILE_OPERATIONS> => ({
  profiles: (query, { principal }) => profiles.page(query, principal),
  profile: ({ name }, { principal }) => profiles.get(name, principal),
  profile_set: ({ name, revision, ...profile }, { principal }) => profiles.set(name, profile, principal, revision),
  profile_delete: ({ name, revision }, { principal }) => profiles.delete(name, principal, revision),
});
