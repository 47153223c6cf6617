import type { FastifyInstance } from 'fastify';
import { Problem, SpawnAccepted, SpawnQuery, Task } from '../../../contracts/http.js';
import { SpawnRequest } from '../../../contracts/spawn.js';
import { invalid } from '../api-error.js';
import type { ApiContext } from '../context.js';
import { principalOf } from '../request-principal.js';
import { spawn } from '../spawn.js';

export function spawnRoutes(app: FastifyInstance, context: ApiContext): void {
  const { tasks, closing } = context;
  app.post<{ Body: SpawnRequest; Querystring: SpawnQuery }>(
    '/spawn',
    {
      schema: {
        tags: ['Tasks'],
        summary: 'Run Claude',
        description:
          '202 once the broker has stored the task. With `?wait=SECONDS` 200 and the finished task, or 202 when the time is up.',
        body: SpawnRequest,
        querystring: SpawnQuery,
        response: { 200: Task, 202: SpawnAccepted, '4xx': Problem, '5xx': Problem },
      },
    },
    async (request, reply) => {
      // A promise that can't be kept yet is refused, not ignored.
      if (request.headers['idempotency-key'] !== undefined)
        throw invalid([{ field: 'Idempotency-Key', message: 'is not supported by this version' }]);
      const principal = principalOf(request);
      const accepted = await spawn(context, request.body, principal, traceparentOf(request.headers));
      reply.header('location', `/tasks/${accepted.task_id}`);
      const { wait = 0 } = request.query;
      if (wait > 0) {
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        const signal = AbortSignal.any([AbortSignal.timeout(wait * 1_000), closing, gone.signal]);
        const task = await tasks.ended(accepted.task_id, principal, signal);
        if (task.ended_at !== undefined) return reply.code(200).send(task);
        return reply.code(202).send({ ...accepted, status: task.status });
      }
      return reply.code(202).send(accepted);
    },
  );
}

/** W3C Trace Context; anything else is left out. */
function traceparentOf(headers: Record<string, string | string[] | undefined>): string | undefined {
  const { traceparent } = headers;
  return typeof traceparent === 'string' && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent)
    ? traceparent
    : undefined;
}
