import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../../../errors/api-error.js';

/**
 * A request with an `Upgrade` header has left Node's HTTP server, which would not end its connection any more, not even at a shutdown: it ends with the
 * answer. The WebSocket route takes its connection over and sends none. To be registered before any hook that refuses requests.
 */
export function endUpgradesWithAnswer(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => endWithAnswer(request, reply));
}

/** Also for the faults that Fastify finds before any hook. */
export function endWithAnswer({ headers, socket }: FastifyRequest, reply: FastifyReply): void {
  if (headers.upgrade !== undefined) reply.header('connection', 'close').raw.once('finish', () => socket.destroySoon());
}

/**
 * Refuses an upgrade of any route but the WebSocket: @fastify/websocket would make one of it, close it, and wait 30 s for the client to agree. To be
 * registered after the hooks that check the token and the scope.
 */
export function refuseStrayUpgrades(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ headers, routeOptions }) => {
    if (headers.upgrade !== undefined && routeOptions.config.takesTicket !== true)
      throw new ApiError(
        'invalid_request',
        'Only GET /events is a WebSocket. Leave `Upgrade` out; use HTTP/1.1 as it is',
      );
  });
}
