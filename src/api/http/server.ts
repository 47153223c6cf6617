import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import { MAX_CLIENT_FRAME_BYTES, SUBPROTOCOL } from '../../../contracts/api/ws.js';
import type { ApiContext } from '../context.js';
import { auditHook } from './audit-hook.js';
import { buildEdge } from './edge/edge.js';
import { refuseStrayUpgrades } from './edge/upgrades.js';
import { documentOperations } from './document-operations.js';
import { otherMethods } from './other-methods.js';
import { agentSpawnRoutes } from './routes/agent-spawn.js';
import { agentRoutes } from './routes/agents.js';
import { compositionRoutes } from './routes/compositions.js';
import { conversationRoutes } from './routes/conversations.js';
import { deadRoutes } from './routes/dead.js';
import { deletionRoutes } from './routes/deletion.js';
import { retentionRoutes } from './routes/retention.js';
import { documentRoutes } from './routes/documents.js';
import { exchangeRoutes } from './routes/exchanges.js';
import { healthRoutes } from './routes/health.js';
import { identityRoutes } from './routes/identities.js';
import { profileRoutes } from './routes/profiles.js';
import { queueRoutes } from './routes/queues.js';
import { messageRoutes } from './routes/messages.js';
import { spawnRoutes } from './routes/spawn.js';
import { approvalRoutes } from './routes/approvals.js';
import { sessionRoutes } from './routes/sessions.js';
import { sharedRoutes } from './routes/shared.js';
import { usageRoutes } from './routes/usage.js';
import { steeringRoutes } from './routes/steering.js';
import { bodyRoutes } from './routes/bodies.js';
import { taskEventRoutes } from './routes/task-events.js';
import { taskRoutes } from './routes/tasks.js';
import { tokenRoutes } from './routes/tokens.js';
import { workerRoutes } from './routes/workers.js';
import { eventsRoute } from '../ws/route.js';

/** The HTTP and WebSocket server, ready to listen. */
export async function buildServer(context: ApiContext): Promise<FastifyInstance> {
  const app = await buildEdge(context);
  refuseStrayUpgrades(app);
  auditHook(app, context.audit);
  documentOperations(app);
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
      tags: [
        { name: 'Tasks', description: 'Run Claude, watch and steer what runs' },
        { name: 'Approvals', description: 'What Claude asks to be allowed' },
        { name: 'Dead letters', description: 'Tasks that were given up: look, put back, delete' },
        { name: 'Sessions', description: 'What tasks of one session have said, and goes on' },
        { name: 'Agents', description: 'Named participants, their messages and inboxes' },
        { name: 'Conversations', description: 'Agents that talk by turns' },
        { name: 'Shared state', description: 'JSON under keys, which agents share' },
        { name: 'Identities', description: 'Who agents are to people' },
        { name: 'Profiles', description: 'What agents can be made of' },
        { name: 'Prompts', description: 'Compositions and components' },
        { name: 'Events', description: 'Over SSE and WebSocket' },
        { name: 'Retention', description: 'How long what has ended is kept' },
        { name: 'Access', description: 'Tokens, tickets, and the deletion of an owner' },
        { name: 'System', description: 'Health, workers, queues' },
      ],
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
  const refuseOthers = otherMethods(app);
  for (const routes of [
    documentRoutes,
    healthRoutes,
    spawnRoutes,
    taskRoutes,
    steeringRoutes,
    approvalRoutes,
    sessionRoutes,
    agentRoutes,
    agentSpawnRoutes,
    messageRoutes,
    exchangeRoutes,
    conversationRoutes,
    usageRoutes,
    deadRoutes,
    deletionRoutes,
    retentionRoutes,
    workerRoutes,
    queueRoutes,
    sharedRoutes,
    identityRoutes,
    profileRoutes,
    compositionRoutes,
    tokenRoutes,
    taskEventRoutes,
    bodyRoutes,
    eventsRoute,
  ])
    routes(app, context);
  refuseOthers();
  await app.ready();
  return app;
}
