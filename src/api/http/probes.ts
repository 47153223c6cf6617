import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Metrics } from '../../telemetry/metrics.js';
import { whyNotReady, type HealthServices } from '../health.js';
import { principalOf } from './request-principal.js';

const Probe = Type.Object({
  ready: Type.Boolean(),
  reason: Type.Optional(Type.String()),
  full: Type.Optional(Type.Boolean({ description: 'The API runs, and takes tasks when there is room again.' })),
});
const OPEN = { security: [], tags: ['System'] };

export interface ProbeServices extends HealthServices {
  readonly metrics: Metrics;
}

/** What load balancers and Prometheus ask for, and the OpenAPI document. */
export function probeRoutes(app: FastifyInstance, services: ProbeServices): void {
  const { gauge, metrics } = services;
  app.get('/livez', { schema: { ...OPEN, summary: 'Whether the process answers' } }, () => ({ live: true }));
  app.get(
    '/readyz',
    {
      schema: { ...OPEN, summary: 'Whether a task that is accepted now can run', response: { 200: Probe, 503: Probe } },
    },
    (_request, reply) => {
      const fault = whyNotReady(services);
      return reply.code(fault === undefined ? 200 : 503).send({ ready: fault === undefined, ...fault });
    },
  );
  app.get(
    '/metrics',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['System'],
        security: [{ token: ['read'] }],
        summary: 'Prometheus metrics',
        description: 'The cost and tokens of tasks are by owner. Only a token that sees all owners gets them.',
      },
    },
    async (request, reply) => {
      await gauge.refresh().catch(() => undefined); // The last figure then.
      return reply.type(metrics.registry.contentType).send(await metrics.text(principalOf(request).seesAll));
    },
  );
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}
