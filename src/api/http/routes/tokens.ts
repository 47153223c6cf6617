import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import {
  TicketCreated,
  TokenCreated,
  TokenList,
  TokenParams,
  TokenRequest,
} from '../../../../contracts/access/tokens.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function tokenRoutes(app: FastifyInstance, { tokens, tickets }: ApiContext): void {
  app.get(
    '/tokens',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['Access'],
        summary: 'The tokens, without their secrets',
        response: { 200: TokenList, ...ERRORS },
      },
    },
    (request) => ({ tokens: tokens.list(principalOf(request)) }),
  );
  app.post<{ Body: TokenRequest }>(
    '/tokens',
    {
      config: { scope: 'admin', audit: 'token_create' },
      schema: {
        tags: ['Access'],
        summary: 'Make a token',
        description:
          'The token is in this answer and nowhere else: only its hash is kept. One of another owner, or that sees all, is made only with one that sees all.',
        body: TokenRequest,
        response: { 201: TokenCreated, ...ERRORS },
      },
    },
    async (request, reply) => {
      const created = await tokens.create(request.body, principalOf(request));
      request.target = created.token_id;
      return reply.code(201).header('cache-control', 'no-store').send(created);
    },
  );
  app.delete<{ Params: TokenParams }>(
    '/tokens/:id',
    {
      config: { scope: 'admin', audit: 'token_revoke' },
      schema: {
        tags: ['Access'],
        summary: 'Revoke a token',
        description: 'Nobody is let in with it any more, and its open connections end within 5 s.',
        params: TokenParams,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      await tokens.revoke(request.params.id, principalOf(request));
      return reply.code(204).send();
    },
  );
  app.post(
    '/tickets',
    {
      config: { scope: 'read', audit: 'ticket' },
      schema: {
        tags: ['Access'],
        summary: 'A ticket for one WebSocket',
        description: 'For browsers, which can send no header with one: `GET /events?ticket=…` within 30 s, once.',
        response: { 201: TicketCreated, ...ERRORS },
      },
    },
    async (request, reply) =>
      reply
        .code(201)
        .header('cache-control', 'no-store')
        .send(await tickets.create(principalOf(request))),
  );
}
