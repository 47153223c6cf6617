import type { Handlers } from './handler.js';

export const promptHandlers = {
  compositions: (query, { context }) => context.prompts.list(query),
  composition: ({ name }, { context }) => context.prompts.get(name),
  composition_validate: ({ name, ...request }, { context }) => context.prompts.validate(name, request),
  composition_compose: ({ name, ...request }, { context }) => context.prompts.compose(name, request),
  composition_select: (request, { context }) => context.prompts.select(request),
  components: (query, { context }) => context.prompts.components(query),
  profiles: (_request, { principal, context }) => context.profiles.list(principal),
  profile: ({ name }, { principal, context }) => context.profiles.get(name, principal),
  profile_set: ({ name, ...profile }, { principal, context }) => context.profiles.set(name, profile, principal),
  profile_delete: ({ name }, { principal, context }) => context.profiles.delete(name, principal),
  identities: (query, { principal, context }) => context.identities.page(query, principal),
  identity: ({ agent_id: id }, { principal, context }) => context.identities.get(id, principal),
  identity_create: (request, { principal, context }) => context.identities.create(request, principal),
  identity_update: ({ agent_id: id, ...update }, { principal, context }) =>
    context.identities.update(id, update, principal),
  identity_remove: ({ agent_id: id }, { principal, context }) => context.identities.remove(id, principal),
} satisfies Partial<Handlers>;
