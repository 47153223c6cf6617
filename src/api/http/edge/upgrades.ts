import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../../../errors/api-error.js';

/**
 * Closes the connection of a request with an `Upgrade` header after its answer, because Node's HTTP server no longer manages that connection, not even
 * at a shutdown. The WebSocket route is unaffected: it sends no HTTP answer. Call this before all checks that refuse requests.
 */
export function endWithAnswer({ headers, socket }: FastifyRequest, reply: FastifyReply): void {
  if (headers.upgrade !== undefined) reply.header('connection', 'close').raw.once('finish', () => socket.destroySoon());
}

/**
 * Refuses upgrades of all routes except the WebSocket. @fastify/websocket would accept them, close them at once and wait 30 s for the client's close frame.
 * Register this after the hooks that check the token and the scope.
 */
export function refuseStrayUpgrades(app: FastifyInstance): void {
  app.addHook('onRequest', ({ headers, routeOptions }, _reply, done) => {
    if (headers.upgrade !== undefined && routeOptions.config.takesTicket !== 'websocket')
      throw new ApiError('invalid_request', 'Only GET /events is a WebSocket. Send the request without `Upgrade`');
    done();
  });
}
