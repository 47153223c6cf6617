import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { Health } from '../../../../contracts/api/health.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';
import { healthOf, whyNotReady } from '../../health.js';

const Probe = Type.Object({ ready: Type.Boolean(), reason: Type.Optional(Type.String()) });
const OPEN = { security: [], tags: ['System'] };

export function healthRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get(
    '/health',
    {
      schema: {
        ...OPEN,
        summary: 'The state of this API, and of its connection to the broker',
        response: { 200: Health },
      },
    },
    () => healthOf(context),
  );
  app.get('/livez', { schema: { ...OPEN, summary: 'Whether the process answers' } }, () => ({ live: true }));
  app.get(
    '/readyz',
    {
      schema: { ...OPEN, summary: 'Whether a task that is accepted now can run', response: { 200: Probe, 503: Probe } },
    },
    (_request, reply) => {
      const reason = whyNotReady(context);
      return reply
        .code(reason === undefined ? 200 : 503)
        .send({ ready: reason === undefined, ...(reason === undefined ? {} : { reason }) });
    },
  );
  app.get(
    '/metrics',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['System'],
        summary: 'Prometheus metrics',
        description: 'What tasks cost and took is by owner, and only shown to a token that sees all owners.',
      },
    },
    async (request, reply) => {
      await context.gauge.refresh().catch(() => undefined); // The last figure then.
      return reply
        .type(context.metrics.registry.contentType)
        .send(await context.metrics.text(principalOf(request).seesAll));
    },
  );
}
