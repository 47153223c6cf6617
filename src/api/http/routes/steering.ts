import type { FastifyInstance } from 'fastify';
import { InputRequest, Task, TaskParams } from '../../../../contracts/tasks/task.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import { SpawnAccepted } from '../../../../contracts/tasks/spawn.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

export function steeringRoutes(app: FastifyInstance, { canceller, interrupter, inputs, retrier }: ApiContext): void {
  app.post<{ Params: TaskParams }>(
    '/tasks/:id/cancel',
    {
      config: { scope: 'spawn', audit: 'cancel' },
      schema: {
        tags: ['Tasks'],
        summary: 'Cancel a task',
        description:
          '200 and the cancelled task, whatever state it was in; again for one that is cancelled already. 409 for one with another outcome.',
        params: TaskParams,
        response: { 200: Task, '4xx': Problem, '5xx': Problem },
      },
    },
    (request) => canceller.cancel(request.params.id, principalOf(request)),
  );
  app.post<{ Params: TaskParams }>(
    '/tasks/:id/interrupt',
    {
      config: { scope: 'spawn', audit: 'interrupt' },
      schema: {
        tags: ['Tasks'],
        summary: 'Interrupt a running task',
        description: '202 once Claude is told to end its turn; the outcome follows. 409 for a task that does not run.',
        params: TaskParams,
        response: { 202: Task, '4xx': Problem, '5xx': Problem },
      },
    },
    async (request, reply) =>
      reply.code(202).send(await interrupter.interrupt(request.params.id, principalOf(request))),
  );
  app.post<{ Params: TaskParams; Body: InputRequest }>(
    '/tasks/:id/input',
    {
      config: { scope: 'spawn', audit: 'input' },
      schema: {
        tags: ['Tasks'],
        summary: 'Say more to Claude while it works',
        description:
          '202 once Claude is told; it reads it before its next step, or as another turn of the same task. 409 for a task that does not run, or whose last turn is over.',
        params: TaskParams,
        body: InputRequest,
        response: { 202: Task, '4xx': Problem, '5xx': Problem },
      },
    },
    async (request, reply) =>
      reply.code(202).send(await inputs.say(request.params.id, request.body.text, principalOf(request))),
  );
  app.post<{ Params: TaskParams }>(
    '/tasks/:id/retry',
    {
      config: { scope: 'spawn', audit: 'retry' },
      schema: {
        tags: ['Tasks'],
        summary: 'Run an ended task again, as a new one',
        description:
          '202 as from POST /spawn; the new task, of the same session, names the old one in `retry_of`. One that has a dead letter is put back.',
        params: TaskParams,
        response: { 202: SpawnAccepted, '4xx': Problem, '5xx': Problem },
      },
    },
    async (request, reply) => {
      const accepted = await retrier.retry(request.params.id, principalOf(request));
      return reply.code(202).header('location', `/tasks/${accepted.task_id}`).send(accepted);
    },
  );
}
