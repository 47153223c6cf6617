import type { FastifyInstance, FastifyReply } from 'fastify';
import { DeletionPending, TasksDeleted, TasksDeleteQuery } from '../../../../contracts/retention/deletion.js';
import { OwnerParams } from '../../../../contracts/access/tokens.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import { SessionParams } from '../../../../contracts/sessions/sessions.js';
import { TaskParams } from '../../../../contracts/tasks/task.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };
const RESPONSES = { 202: DeletionPending, ...ERRORS };

/** 204, or 202 as long as hosts of workers have something left. */
async function answer(reply: FastifyReply, deleting: Promise<DeletionPending | undefined>): Promise<FastifyReply> {
  const pending = await deleting;
  return pending === undefined ? reply.code(204).send() : reply.code(202).send(pending);
}

export function deletionRoutes(app: FastifyInstance, { deleter }: ApiContext): void {
  app.delete<{ Params: TaskParams }>(
    '/tasks/:id',
    {
      config: { scope: 'spawn', audit: 'task_delete' },
      schema: {
        tags: ['Tasks'],
        summary: 'Delete an ended task',
        description:
          'Removes its events, prompt, answer and dead letter everywhere. A session with no other task goes with it, transcript and working folder included. A session with other tasks keeps its transcript until it is deleted itself.',
        params: TaskParams,
        response: RESPONSES,
      },
    },
    (request, reply) => answer(reply, deleter.task(request.params.id, principalOf(request))),
  );
  app.delete<{ Querystring: TasksDeleteQuery }>(
    '/tasks',
    {
      config: { scope: 'spawn', audit: 'tasks_delete' },
      schema: {
        tags: ['Tasks'],
        summary: 'Delete the ended tasks that match, a page at a time',
        description:
          'As DELETE /tasks/:id does. Open tasks stay. Ask again with `next_cursor` until there is none. At least one filter must be given.',
        querystring: TasksDeleteQuery,
        response: { 200: TasksDeleted, ...ERRORS },
      },
    },
    (request) => deleter.matching(request.query, principalOf(request)),
  );
  app.delete<{ Params: SessionParams }>(
    '/sessions/:id',
    {
      config: { scope: 'spawn', audit: 'session_delete' },
      schema: {
        tags: ['Sessions'],
        summary: 'Delete a session, with its transcript, its working folders and all its tasks',
        params: SessionParams,
        response: RESPONSES,
      },
    },
    (request, reply) => answer(reply, deleter.session(request.params.id, principalOf(request))),
  );
  app.delete<{ Params: OwnerParams }>(
    '/owners/:id',
    {
      config: { scope: 'admin', audit: 'owner_delete' },
      schema: {
        tags: ['Access'],
        summary: "Delete all of an owner's tasks and sessions, and revoke its tokens",
        description: 'Open tasks are cancelled. The audit stays.',
        params: OwnerParams,
        response: RESPONSES,
      },
    },
    (request, reply) => answer(reply, deleter.owner(request.params.id, principalOf(request))),
  );
}
