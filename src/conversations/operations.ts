import type { CONVERSATION_OPERATIONS } from '../../contracts/conversations/operations.js';
import type { Handlers } from '../access/handlers.js';
import type { Conversations } from './conversations.js';

export const conversationHandlers = ({
  conversations,
}: {
  readonly conversations: Conversations;
}): Handlers<typeof CONVERSATION_OPERATIONS> => ({
  conversations: (query, { principal }) => conversations.page(query, principal),
  conversation: ({ id }, { principal }) => conversations.one(id, principal),
  conversation_create: (request, { principal, id }) =>
    conversations.create({ conversation_id: id, ...request }, principal),
  conversation_transcript: ({ id, ...query }, { principal }) => conversations.transcript(id, query, principal),
  conversation_pause: ({ id, revision }, { principal }) => conversations.steer(id, 'pause', principal, revision),
  conversation_resume: ({ id, revision }, { principal }) => conversations.steer(id, 'resume', principal, revision),
  conversation_end: ({ id, revision }, { principal }) => conversations.steer(id, 'end', principal, revision),
  conversation_say: ({ id, ...body }, { principal, id: callId }) =>
    conversations.say(id, { message_id: callId, ...body }, principal),
  conversation_delete: ({ id }, { principal }) => conversations.delete(id, principal),
});
