import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../contracts/http.js';
import { WorkerList } from '../../../contracts/workers.js';
import type { ApiContext } from '../context.js';
import { workersOf } from '../workers.js';

export function workerRoutes(app: FastifyInstance, { broker }: ApiContext): void {
  app.get(
    '/workers',
    {
      schema: {
        tags: ['System'],
        summary: 'The workers, as they say themselves',
        response: { 200: WorkerList, '4xx': Problem, '5xx': Problem },
      },
    },
    async () => ({ workers: await workersOf(broker) }),
  );
}
