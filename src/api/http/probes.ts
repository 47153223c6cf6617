import type { FastifyInstance } from 'fastify';
import type { Liveness, Readiness } from '../../../contracts/api/health.js';
import type { Metrics } from '../../telemetry/metrics.js';
import { readinessFault, type HealthServices } from '../health.js';
import { principalOf } from './request-principal.js';

export interface ProbeServices extends HealthServices {
  readonly metrics: Metrics;
}

/** Adds the routes for load balancers, Prometheus and the OpenAPI document. */
export function probeRoutes(app: FastifyInstance, services: ProbeServices): void {
  const { gauge: capacity, metrics } = services;
  app.get('/livez', (): Liveness => ({ live: true }));
  app.get('/readyz', (_request, reply) => {
    const fault = readinessFault(services);
    const readiness: Readiness = { ready: fault === undefined, ...fault };
    return reply.code(readiness.ready ? 200 : 503).send(readiness);
  });
  app.get('/metrics', { config: { scope: 'read' } }, async (request, reply) => {
    // If the refresh fails, the last known queue lengths are reported.
    await capacity.refresh().catch(() => undefined);
    return reply.type(metrics.registry.contentType).send(await metrics.text(principalOf(request).seesAll));
  });
  app.get('/openapi.json', () => app.swagger());
}
