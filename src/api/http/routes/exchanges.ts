import type { FastifyInstance } from 'fastify';
import { ExchangeParams, ExchangeShown } from '../../../../contracts/access/exchanges.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

export function exchangeRoutes(app: FastifyInstance, { exchanges }: ApiContext): void {
  app.get<{ Params: ExchangeParams }>(
    '/exchanges/:id',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Agents'],
        summary: 'What one message to an agent has led to so far, what it cost, and its limits',
        params: ExchangeParams,
        response: { 200: ExchangeShown, '4xx': Problem, '5xx': Problem },
      },
    },
    (request) => exchanges.one(request.params.id, principalOf(request)),
  );
}
