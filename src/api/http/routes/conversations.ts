import type { FastifyInstance } from 'fastify';
import {
  Conversation,
  ConversationAccepted,
  ConversationPage,
  ConversationParams,
  ConversationRequest,
  ConversationsQuery,
  ConversationTranscriptQuery,
  SayRequest,
} from '../../../../contracts/conversations/conversations.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };
const tags = ['Conversations'];

export function conversationRoutes(app: FastifyInstance, { conversations }: ApiContext): void {
  app.post<{ Body: ConversationRequest }>(
    '/conversations',
    {
      config: { scope: 'agents', audit: 'conversation_create' },
      schema: {
        tags,
        summary: 'Have agents talk',
        description:
          'They speak by turns, each turn a task in its speaker’s session, until it is over by their signals, a moderator, a limit or a decision. What they say is told as events of `ksi.events.conversation.<id>.>`, which come after `since`.',
        body: ConversationRequest,
        response: { 201: ConversationAccepted, ...ERRORS },
      },
    },
    async (request, reply) => {
      const made = await conversations.create(request.body, principalOf(request));
      request.target = made.conversation_id;
      return reply.code(201).header('location', `/conversations/${made.conversation_id}`).send(made);
    },
  );
  app.get<{ Querystring: ConversationsQuery }>(
    '/conversations',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        summary: 'Conversations, the newest first',
        querystring: ConversationsQuery,
        response: { 200: ConversationPage, ...ERRORS },
      },
    },
    (request) => conversations.page(request.query, principalOf(request)),
  );
  app.get<{ Params: ConversationParams }>(
    '/conversations/:id',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        summary: 'One conversation: who takes part, who has the word and who is next, what it cost',
        params: ConversationParams,
        response: { 200: Conversation, ...ERRORS },
      },
    },
    (request) => conversations.one(request.params.id, principalOf(request)),
  );
  app.get<{ Params: ConversationParams; Querystring: ConversationTranscriptQuery }>(
    '/conversations/:id/transcript',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        summary: 'What was said in a conversation',
        description: 'JSON (`{conversation_id, topic, mode, lines}`), or Markdown to read.',
        params: ConversationParams,
        querystring: ConversationTranscriptQuery,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      const text = await conversations.transcript(request.params.id, request.query, principalOf(request));
      reply.type(
        request.query.format === 'markdown' ? 'text/markdown; charset=utf-8' : 'application/json; charset=utf-8',
      );
      return reply.serializer((body: unknown) => String(body)).send(text);
    },
  );
  for (const [verb, summary] of [
    ['pause', 'Give nobody the word for now; a turn under way is heard'],
    ['resume', 'Go on; the time that it was paused does not count'],
    ['end', 'End it; a turn under way is cancelled'],
  ] as const)
    app.post<{ Params: ConversationParams }>(
      `/conversations/:id/${verb}`,
      {
        config: { scope: 'agents', audit: `conversation_${verb}` },
        schema: { tags, summary, params: ConversationParams, response: { 200: Conversation, ...ERRORS } },
      },
      (request) => conversations.steer(request.params.id, verb, principalOf(request)),
    );
  app.post<{ Params: ConversationParams; Body: SayRequest }>(
    '/conversations/:id/say',
    {
      config: { scope: 'agents', audit: 'conversation_say' },
      schema: {
        tags,
        summary: 'Say something in a conversation',
        description: 'The agents hear it at their next turns; `next` says who is to answer.',
        params: ConversationParams,
        body: SayRequest,
        response: { 200: Conversation, ...ERRORS },
      },
    },
    (request) => conversations.say(request.params.id, request.body, principalOf(request)),
  );
  app.delete<{ Params: ConversationParams }>(
    '/conversations/:id',
    {
      config: { scope: 'agents', audit: 'conversation_delete' },
      schema: {
        tags,
        summary: 'Delete a conversation with all that was said, and the agents and sessions that were made for it',
        description: 'It is ended first.',
        params: ConversationParams,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      await conversations.delete(request.params.id, principalOf(request));
      return reply.code(204).send();
    },
  );
}
