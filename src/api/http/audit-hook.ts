import type { FastifyInstance } from 'fastify';
import type { Audit } from '../../access/audit.js';

/** Keeps in the audit each request of a route that changes something, once it is answered. */
export function auditHook(app: FastifyInstance, audit: Audit): void {
  app.addHook('onResponse', async (request, reply) => {
    const { audit: verb } = request.routeOptions.config;
    const { principal, target, problem } = request;
    if (verb === undefined || principal === undefined) return;
    // The one field of a path, whatever it is called.
    const [named] = Object.values(request.params as Record<string, string>);
    const about = target ?? named;
    audit.record({
      owner: principal.owner,
      token_id: principal.tokenId,
      verb,
      ...(about === undefined ? {} : { target: about }),
      result: problem ?? (reply.statusCode < 400 ? 'ok' : String(reply.statusCode)),
      over: 'http',
      address: request.ip,
      request_id: request.id,
    });
  });
}
