import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import { UsageAnswer, UsageQuery } from '../../../../contracts/access/usage.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';
import { usageOf } from '../../../access/usage.js';

export function usageRoutes(app: FastifyInstance, { tail, broker }: ApiContext): void {
  app.get<{ Querystring: UsageQuery }>(
    '/usage',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Tasks'],
        summary: 'Tokens and US dollars, by day, owner, token, session, agent or model',
        description: "From Claude's own figures; a task counts on the day (UTC) on which it ends.",
        querystring: UsageQuery,
        response: { 200: UsageAnswer, '4xx': Problem },
      },
    },
    (request) => usageOf(tail.model, request.query, principalOf(request), broker.clock.now()),
  );
}
