import type { Handlers } from './handler.js';

export const accessHandlers = {
  tokens: (_request, { context }) => ({ tokens: context.tokens.list() }),
  token_create: (request, { principal, context }) => context.tokens.create(request, principal),
  token_revoke: ({ id }, { context }) => context.tokens.revoke(id),
  ticket: (_request, { principal, context }) => context.tickets.create(principal),
  owner_delete: ({ id }, { principal, context }) => context.deleter.owner(id, principal),
} satisfies Partial<Handlers>;
