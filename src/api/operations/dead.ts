import type { Handlers } from './handler.js';

export const deadHandlers = {
  dead: (query, { principal, context }) => context.dead.page(query, principal),
  dead_letter: ({ id }, { principal, context }) => context.dead.letter(id, principal),
  dead_retry: async ({ id }, { principal, context }) => (await context.dead.putBack(id, principal)).accepted,
  dead_retry_all: (request, { principal, context }) => context.dead.putBackAll(request, principal),
  dead_delete: ({ id }, { principal, context }) => context.dead.delete(id, principal),
} satisfies Partial<Handlers>;
