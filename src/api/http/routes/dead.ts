import type { FastifyInstance } from 'fastify';
import {
  DeadLetter,
  DeadPage,
  DeadQuery,
  DeadRetryAnswer,
  DeadRetryRequest,
} from '../../../../contracts/tasks/dead-letters.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import { SpawnAccepted } from '../../../../contracts/tasks/spawn.js';
import { TaskParams } from '../../../../contracts/tasks/task.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function deadRoutes(app: FastifyInstance, { dead }: ApiContext): void {
  app.get<{ Querystring: DeadQuery }>(
    '/dead',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Dead letters'],
        summary: 'Tasks that were given up, the oldest first',
        querystring: DeadQuery,
        response: { 200: DeadPage, ...ERRORS },
      },
    },
    (request) => dead.page(request.query, principalOf(request)),
  );
  app.get<{ Params: TaskParams }>(
    '/dead/:id',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Dead letters'],
        summary: 'One task that was given up, with its command and history',
        params: TaskParams,
        response: { 200: DeadLetter, ...ERRORS },
      },
    },
    (request) => dead.letter(request.params.id, principalOf(request)),
  );
  app.post<{ Params: TaskParams }>(
    '/dead/:id/retry',
    {
      config: { scope: 'spawn', audit: 'dead_retry' },
      schema: {
        tags: ['Dead letters'],
        summary: 'Put a task that was given up back, as a new one',
        description: '202 as from POST /spawn; the new task names the old one in `retry_of`, and the letter is gone.',
        params: TaskParams,
        response: { 202: SpawnAccepted, ...ERRORS },
      },
    },
    async (request, reply) => {
      const { accepted } = await dead.putBack(request.params.id, principalOf(request));
      return reply.code(202).header('location', `/tasks/${accepted.task_id}`).send(accepted);
    },
  );
  app.post<{ Body: DeadRetryRequest }>(
    '/dead/retry',
    {
      config: { scope: 'spawn', audit: 'dead_retry_all' },
      schema: {
        tags: ['Dead letters'],
        summary: 'Put back all tasks that were given up and match',
        body: DeadRetryRequest,
        response: { 200: DeadRetryAnswer, ...ERRORS },
      },
    },
    (request) => dead.putBackAll(request.body, principalOf(request)),
  );
  app.delete<{ Params: TaskParams }>(
    '/dead/:id',
    {
      config: { scope: 'spawn', audit: 'dead_delete' },
      schema: {
        tags: ['Dead letters'],
        summary: 'Delete a task that was given up',
        params: TaskParams,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      await dead.delete(request.params.id, principalOf(request));
      return reply.code(204).send();
    },
  );
}
