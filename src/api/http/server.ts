import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import { MAX_CLIENT_FRAME_BYTES, SUBPROTOCOL } from '../../../contracts/api/ws.js';
import { isOpen } from '../../access/auth.js';
import { shuttingDown } from '../../errors/api-error.js';
import type { Audit } from '../../access/audit.js';
import { recordOperation } from '../record-operation.js';
import type { OperationHandlers } from '../handlers.js';
import { LiveFeed } from '../ws/live.js';
import { eventsRoute, type EventsServices } from '../ws/route.js';
import { buildHttpServer, type HttpServerOptions } from './edge/server.js';
import { refuseStrayUpgrades } from './edge/upgrades.js';
import { mount } from './mount.js';
import { openApiDocument } from './openapi/document.js';
import { methodNotAllowed } from './method-not-allowed.js';
import { probeRoutes, type ProbeServices } from './probes.js';
import { eventBodyReply, outputReply } from './replies/bodies.js';
import { spawnReply, type SpawnServices } from './replies/spawn.js';
import { taskEventsReply, type TaskEventsServices } from './replies/task-events.js';

export type ServerServices = HttpServerOptions &
  ProbeServices &
  SpawnServices &
  Omit<TaskEventsServices, 'live'> &
  Omit<EventsServices, 'live'> & { readonly audit: Audit };

/** The HTTP and WebSocket server, ready to listen. */
export async function buildServer(services: ServerServices, handlers: OperationHandlers): Promise<FastifyInstance> {
  const app = await buildHttpServer(services);
  refuseStrayUpgrades(app);
  recordAnsweredOperations(app, services.audit);
  // A stop closes the streams first and the port last. A stream that opens in between would block it.
  app.addHook('onRequest', ({ url }, _reply, done) => {
    if (services.closing.aborted && !isOpen(url)) throw shuttingDown();
    done();
  });
  await app.register(fastifySwagger, {
    mode: 'static',
    // The plugin's types support only OpenAPI 3.0.
    specification: { document: openApiDocument(services.version) as never },
  });
  await app.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    uiConfig: { persistAuthorization: false, deepLinking: true },
  });
  await app.register(fastifyWebsocket, {
    options: {
      maxPayload: MAX_CLIENT_FRAME_BYTES,
      perMessageDeflate: false,
      handleProtocols: (protocols) => protocols.has(SUBPROTOCOL) && SUBPROTOCOL,
    },
  });
  const live = new LiveFeed(services.broker, services.log);
  const refuseOthers = methodNotAllowed(app);
  mount(app, handlers, {
    spawn: spawnReply(services),
    task_events: taskEventsReply({ ...services, live }),
    task_output: outputReply(services.tasks),
    task_event_body: eventBodyReply(services.tasks),
  });
  probeRoutes(app, services);
  eventsRoute(app, { ...services, live });
  refuseOthers();
  await app.ready();
  return app;
}

/** Records each request for an audited operation after its answer. */
function recordAnsweredOperations(app: FastifyInstance, audit: Audit): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { operation } = request.routeOptions.config;
    const { principal, fields, answer, errorCode } = request;
    if (operation === undefined || principal === undefined) return done();
    recordOperation(audit, operation, {
      principal,
      // A request that was refused before the validation still has its path parameters.
      request: fields ?? request.params,
      answer,
      result: errorCode ?? (reply.statusCode < 400 ? 'ok' : String(reply.statusCode)),
      over: 'http',
      address: request.ip,
      request_id: request.id,
    });
    done();
  });
}
