import type { FastifyInstance } from 'fastify';
import { AgentParams } from '../../../../contracts/agents/agents.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import {
  AddressedMessage,
  Inbox,
  InboxAck,
  InboxAcked,
  InboxQuery,
  MessageAccepted,
  MessageRequest,
} from '../../../../contracts/agents/messages.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function messageRoutes(app: FastifyInstance, { agents, authenticator }: ApiContext): void {
  app.post<{ Body: MessageRequest }>(
    '/messages',
    {
      config: { scope: 'agents', audit: 'send' },
      schema: {
        tags: ['Agents'],
        summary: 'Send a message',
        description:
          '202 once the broker has stored it. It comes to its addressee’s inbox, in order and once, whether that is there or not; and it is an AGENT_MESSAGE event.',
        body: MessageRequest,
        response: { 202: MessageAccepted, ...ERRORS },
      },
    },
    async (request, reply) => {
      const accepted = await agents.send(request.body, principalOf(request));
      request.target = accepted.message_id;
      return reply.code(202).send(accepted);
    },
  );
  app.post<{ Params: AgentParams; Body: AddressedMessage }>(
    '/agents/:id/messages',
    {
      config: { scope: 'agents', audit: 'agent_send' },
      schema: {
        tags: ['Agents'],
        summary: 'Send a message to an agent',
        params: AgentParams,
        body: AddressedMessage,
        response: { 202: MessageAccepted, ...ERRORS },
      },
    },
    async (request, reply) => {
      const accepted = await agents.send({ ...request.body, to: request.params.id }, principalOf(request));
      request.target = accepted.message_id;
      return reply.code(202).send(accepted);
    },
  );
  app.get<{ Params: AgentParams; Querystring: InboxQuery }>(
    '/agents/:id/inbox',
    {
      config: { scope: 'agents' },
      schema: {
        tags: ['Agents'],
        summary: 'What an agent has not taken, in order',
        description: 'It stays until it is acknowledged. With `wait`, the answer waits for the first message.',
        params: AgentParams,
        querystring: InboxQuery,
        response: { 200: Inbox, ...ERRORS },
      },
    },
    async (request, reply) => {
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const principal = principalOf(request);
      return authenticator.whileValid(principal, (valid) =>
        agents.inbox(request.params.id, request.query, principal, AbortSignal.any([gone.signal, valid])),
      );
    },
  );
  app.post<{ Params: AgentParams; Body: InboxAck }>(
    '/agents/:id/inbox/ack',
    {
      config: { scope: 'agents', unaudited: 'a receipt for each message: KSI_MESSAGES keeps those' },
      schema: {
        tags: ['Agents'],
        summary: 'Say what an agent has taken',
        description: 'All up to `seq`: it is never given again. The receipt is an AGENT_DELIVERED event.',
        params: AgentParams,
        body: InboxAck,
        response: { 200: InboxAcked, ...ERRORS },
      },
    },
    (request) => agents.ack(request.params.id, request.body, principalOf(request)),
  );
}
