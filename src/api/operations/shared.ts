import type { Handlers } from './handler.js';

export const sharedHandlers = {
  shared_list: (query, { principal, context }) => context.shared.page(query, principal),
  shared_get: ({ key, ...query }, { principal, context }) => context.shared.get(key, principal, query),
  shared_set: ({ key, revision, value }, { principal, context }) =>
    context.shared.set(value, { key, revision }, principal),
  shared_delete: ({ key, revision }, { principal, context }) => context.shared.delete({ key, revision }, principal),
} satisfies Partial<Handlers>;
