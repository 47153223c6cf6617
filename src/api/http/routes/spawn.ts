import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import { Task } from '../../../../contracts/tasks/task.js';
import { IDEMPOTENCY_HEADER, REPLAYED_HEADER } from '../../../../contracts/wire/names.js';
import { SpawnRequest, SpawnAccepted, SpawnQuery } from '../../../../contracts/tasks/spawn.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';
import { rateHeaders } from '../../../access/spawn-rate.js';
import { outcomeWithin, spawn, type SpawnHeaders } from '../../../tasks/spawn.js';

export function spawnRoutes(app: FastifyInstance, context: ApiContext): void {
  app.post<{ Body: SpawnRequest; Querystring: SpawnQuery }>(
    '/spawn',
    {
      config: { scope: 'spawn', audit: 'spawn' },
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
      const principal = principalOf(request);
      const { accepted, replayed, rate } = await spawn(context, request.body, principal, headersOf(request.headers));
      request.target = accepted.task_id;
      if (rate !== undefined) reply.headers(rateHeaders(rate));
      if (replayed) reply.header(REPLAYED_HEADER, 'true');
      reply.header('location', `/tasks/${accepted.task_id}`);
      const { wait = 0 } = request.query;
      if (wait > 0) {
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        const outcome = await outcomeWithin(context, accepted, principal, wait, gone.signal);
        return reply.code('ended_at' in outcome ? 200 : 202).send(outcome);
      }
      return reply.code(202).send(accepted);
    },
  );
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

function headersOf(headers: Headers): SpawnHeaders {
  const key = headers[IDEMPOTENCY_HEADER.toLowerCase()];
  return { idempotencyKey: typeof key === 'string' ? key : undefined, traceparent: traceparentOf(headers) };
}

/** W3C Trace Context; anything else is left out. */
function traceparentOf(headers: Headers): string | undefined {
  const { traceparent } = headers;
  return typeof traceparent === 'string' && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent)
    ? traceparent
    : undefined;
}
