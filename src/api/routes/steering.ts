import type { FastifyInstance } from 'fastify';
import { Problem, Task, TaskParams } from '../../../contracts/http.js';
import type { ApiContext } from '../context.js';
import { principalOf } from '../request-principal.js';

export function steeringRoutes(app: FastifyInstance, { canceller, interrupter }: ApiContext): void {
  app.post<{ Params: TaskParams }>(
    '/tasks/:id/cancel',
    {
      schema: {
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
      schema: {
        summary: 'Interrupt a running task',
        description: '202 once Claude is told to end its turn; the outcome follows. 409 for a task that does not run.',
        params: TaskParams,
        response: { 202: Task, '4xx': Problem, '5xx': Problem },
      },
    },
    async (request, reply) =>
      reply.code(202).send(await interrupter.interrupt(request.params.id, principalOf(request))),
  );
}
