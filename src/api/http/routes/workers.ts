import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import { LimitLifted, WorkerList } from '../../../../contracts/tasks/workers.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';
import { liftLimit, workersOf } from '../../../tasks/workers.js';

export function workerRoutes(app: FastifyInstance, { broker }: ApiContext): void {
  app.get(
    '/workers',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['System'],
        summary: 'The workers, as they say themselves',
        response: { 200: WorkerList, '4xx': Problem, '5xx': Problem },
      },
    },
    async () => ({ workers: await workersOf(broker) }),
  );
  app.post(
    '/workers/lift-limit',
    {
      config: { scope: 'admin', audit: 'limit_lift' },
      schema: {
        tags: ['System'],
        summary: 'Lift the usage limit that keeps workers from taking tasks',
        description:
          'For a limit whose reset time is wrong, or an account that was topped up. Tasks that wait for the reset themselves keep their time: cancel or retry them.',
        response: { 200: LimitLifted, '4xx': Problem, '5xx': Problem },
      },
    },
    (request) => liftLimit(broker, principalOf(request)),
  );
}
