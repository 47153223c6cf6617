import type { FastifyReply } from 'fastify';
import type { EventBodyParams } from '../../../../contracts/events/pages.js';
import type { TaskParams } from '../../../../contracts/tasks/task.js';
import type { Body } from '../../../tasks/bodies.js';
import type { TaskReader } from '../../../tasks/reader.js';
import type { Reply } from '../mount.js';

/** Streams the output of a task. The output can have any size. */
export const outputReply =
  (tasks: TaskReader): Reply =>
  async ({ params }, reply, { principal }) =>
    send(reply, await tasks.output((params as TaskParams).id, principal));

/** Streams the body of an event. The body can have any size. */
export const eventBodyReply =
  (tasks: TaskReader): Reply =>
  async ({ params }, reply, { principal }) => {
    const { id, event_id: eventId } = params as EventBodyParams;
    return send(reply, await tasks.eventBody(id, eventId, principal));
  };

function send(reply: FastifyReply, { size, stream }: Body): FastifyReply {
  if (size !== undefined) reply.header('content-length', size);
  return reply.type('application/json; charset=utf-8').send(stream);
}
