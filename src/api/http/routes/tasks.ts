import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import { Task, TaskPage, TaskParams, TasksQuery } from '../../../../contracts/tasks/task.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

export function taskRoutes(app: FastifyInstance, { tasks }: ApiContext): void {
  app.get<{ Querystring: TasksQuery }>(
    '/tasks',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Tasks'],
        summary: 'Tasks, the newest first',
        description: 'Without their outputs, unless `include=output` asks for them.',
        querystring: TasksQuery,
        response: { 200: TaskPage, '4xx': Problem },
      },
    },
    (request) => tasks.page(request.query, principalOf(request)),
  );
  app.get<{ Params: TaskParams }>(
    '/tasks/:id',
    {
      config: { scope: 'read' },
      schema: { tags: ['Tasks'], summary: 'One task', params: TaskParams, response: { 200: Task, '4xx': Problem } },
    },
    (request) => tasks.task(request.params.id, principalOf(request)),
  );
}
