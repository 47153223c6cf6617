import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import { QueueList } from '../../../../contracts/tasks/queues.js';
import type { ApiContext } from '../../context.js';
import { queuesOf } from '../../../tasks/queues.js';
import { principalOf } from '../request-principal.js';
import { workspacesOf } from '../../../tasks/workspaces.js';

export function queueRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get(
    '/queues',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['System'],
        summary: 'The queues: what stands in them, and who serves them; the workspaces, and which tasks write in them',
        response: { 200: QueueList, '4xx': Problem, '5xx': Problem },
      },
    },
    async (request) => ({
      queues: await queuesOf(context),
      workspaces: await workspacesOf(context, principalOf(request)),
    }),
  );
}
