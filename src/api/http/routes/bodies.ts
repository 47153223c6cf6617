import type { FastifyInstance, FastifyReply } from 'fastify';
import { EventBody, EventBodyParams } from '../../../../contracts/events/pages.js';
import { Output, TaskParams } from '../../../../contracts/tasks/task.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import type { Body } from '../../../tasks/bodies.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

/** Bodies of any size. They are streamed. */
export function bodyRoutes(app: FastifyInstance, { tasks }: ApiContext): void {
  app.get<{ Params: TaskParams }>(
    '/tasks/:id/output',
    {
      // It would read the whole body.
      exposeHeadRoute: false,
      config: { scope: 'read' },
      schema: {
        tags: ['Tasks'],
        summary: "A task's output, of any size",
        params: TaskParams,
        response: { 200: Output, '4xx': Problem },
      },
    },
    async (request, reply) => send(reply, await tasks.output(request.params.id, principalOf(request))),
  );
  app.get<{ Params: EventBodyParams }>(
    '/tasks/:id/events/:event_id/body',
    {
      // It would read the whole body.
      exposeHeadRoute: false,
      config: { scope: 'read' },
      schema: {
        tags: ['Events'],
        summary: 'The body of an event that has a `ref` in its place',
        params: EventBodyParams,
        response: { 200: EventBody, '4xx': Problem },
      },
    },
    async (request, reply) => {
      const { id, event_id: eventId } = request.params;
      return send(reply, await tasks.eventBody(id, eventId, principalOf(request)));
    },
  );
}

function send(reply: FastifyReply, { size, stream }: Body): FastifyReply {
  if (size !== undefined) reply.header('content-length', size);
  return reply.type('application/json; charset=utf-8').send(stream);
}
