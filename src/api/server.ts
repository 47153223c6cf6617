import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import fastifyWebsocket from '@fastify/websocket';
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { v7 as uuidv7 } from 'uuid';
import { MAX_CLIENT_FRAME_BYTES, SUBPROTOCOL } from '../../contracts/ws.js';
import { ApiError } from './api-error.js';
import { isOpen } from './auth.js';
import type { ApiContext } from './context.js';
import { PROBLEM_TYPE, problemOf, toApiError } from './problems.js';
import { deadRoutes } from './routes/dead.js';
import { documentRoutes } from './routes/documents.js';
import { healthRoutes } from './routes/health.js';
import { spawnRoutes } from './routes/spawn.js';
import { steeringRoutes } from './routes/steering.js';
import { taskEventRoutes } from './routes/task-events.js';
import { taskRoutes } from './routes/tasks.js';
import { validatorCompiler } from './validation.js';
import { eventsRoute } from './ws/route.js';

/** The HTTP and WebSocket server, ready to listen. */
export async function buildServer(context: ApiContext): Promise<FastifyInstance> {
  const { config, log } = context;
  const app = Fastify({
    loggerInstance: log,
    logger: undefined,
    // A line per request would cost more than the request; errors are logged below.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.KSI_MAX_BODY_BYTES,
    genReqId: () => uuidv7(),
    requestIdHeader: false,
    // At a shutdown idle keep-alive connections are no reason to wait.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    // Faults that Fastify finds before any hook: they too say nothing to one without a token.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const known = context.authenticator.principalOf(request.headers.authorization) !== undefined;
      return sendProblem(context, known ? toApiError(error) : noToken(), request, reply);
    },
  } as Parameters<typeof Fastify>[0]) as unknown as FastifyInstance;
  // One way in: JSON. Fastify would also take text.
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(validatorCompiler as never);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.decorateRequest('principal', undefined);
  app.addHook('onRequest', async (request) => {
    request.principal = context.authenticator.principalOf(request.headers.authorization);
    if (request.principal === undefined && !isOpen(request.url)) throw noToken();
  });
  app.setErrorHandler((error, request, reply) => sendProblem(context, toApiError(error), request, reply));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      context,
      new ApiError('not_found', `There is no ${request.method} ${request.url.split('?', 1)[0]}`),
      request,
      reply,
    ),
  );

  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'KSI',
        version: context.version,
        description:
          'Runs fleets of Claude Code processes. Errors are RFC 9457 problem documents with a stable `code`.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
      tags: [{ name: 'Tasks' }, { name: 'Events' }, { name: 'System' }],
    },
  });
  await app.register(fastifySwaggerUi, { routePrefix: '/docs', uiConfig: { persistAuthorization: false } });
  await app.register(fastifyWebsocket, {
    options: {
      maxPayload: MAX_CLIENT_FRAME_BYTES,
      perMessageDeflate: false,
      handleProtocols: (protocols) => protocols.has(SUBPROTOCOL) && SUBPROTOCOL,
    },
  });
  for (const routes of [
    documentRoutes,
    healthRoutes,
    spawnRoutes,
    taskRoutes,
    steeringRoutes,
    deadRoutes,
    taskEventRoutes,
    eventsRoute,
  ])
    routes(app, context);
  await app.ready();
  return app;
}

const noToken = (): ApiError => new ApiError('unauthorized', 'The request has no valid bearer token');

function sendProblem(context: ApiContext, error: ApiError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.status >= 500)
    request.log.error(
      { err: error, request_id: request.id, method: request.method, url: request.url.split('?', 1)[0] },
      'request failed',
    );
  else context.log.debug({ code: error.code, request_id: request.id }, error.message);
  // A refused upgrade has left Node's HTTP server, which would not end its connection any more, not even at a shutdown.
  if (request.headers.upgrade !== undefined)
    reply.header('connection', 'close').raw.once('finish', () => request.socket.end());
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
  return reply
    .code(error.status)
    .header('content-type', PROBLEM_TYPE)
    .serializer(JSON.stringify)
    .send(problemOf(error, request.id));
}
