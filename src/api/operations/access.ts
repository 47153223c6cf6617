import type { Handlers } from './handler.js';

export const accessHandlers = {
  tokens: (_request, { principal, context }) => ({ tokens: context.tokens.list(principal) }),
  token_create: (request, { principal, context }) => context.tokens.create(request, principal),
  token_revoke: ({ id }, { principal, context }) => context.tokens.revoke(id, principal),
  ticket: (_request, { principal, context }) => context.tickets.create(principal),
  owner_delete: ({ id }, { principal, context }) => context.deleter.owner(id, principal),
} satisfies Partial<Handlers>;
