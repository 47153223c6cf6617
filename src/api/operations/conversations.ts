import type { Handlers } from './handler.js';

export const conversationHandlers = {
  conversations: (query, { principal, context }) => context.conversations.page(query, principal),
  conversation: ({ id }, { principal, context }) => context.conversations.one(id, principal),
  conversation_create: (request, { principal, context }) => context.conversations.create(request, principal),
  conversation_transcript: ({ id, ...query }, { principal, context }) =>
    context.conversations.transcript(id, query, principal),
  conversation_pause: ({ id }, { principal, context }) => context.conversations.steer(id, 'pause', principal),
  conversation_resume: ({ id }, { principal, context }) => context.conversations.steer(id, 'resume', principal),
  conversation_end: ({ id }, { principal, context }) => context.conversations.steer(id, 'end', principal),
  conversation_say: ({ id, ...said }, { principal, context }) => context.conversations.say(id, said, principal),
  conversation_delete: ({ id }, { principal, context }) => context.conversations.delete(id, principal),
} satisfies Partial<Handlers>;
