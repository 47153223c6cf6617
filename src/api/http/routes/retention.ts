import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import {
  RetentionPreview,
  RetentionPreviewQuery,
  RetentionAges,
  RetentionRun,
  RetentionShown,
} from '../../../../contracts/retention/retention.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };
const tags = ['Retention'];

export function retentionRoutes(app: FastifyInstance, { retention }: ApiContext): void {
  app.get(
    '/retention',
    {
      config: { scope: 'read' },
      schema: { tags, summary: 'How long tasks and sessions are kept', response: { 200: RetentionShown, ...ERRORS } },
    },
    (request) => retention.show(principalOf(request)),
  );
  app.put<{ Body: RetentionAges }>(
    '/retention',
    {
      config: { scope: 'spawn', audit: 'retention_set' },
      schema: {
        tags,
        summary: 'Say how long your own tasks and sessions are kept',
        description: "Of these ages and the operator's, the shorter one holds. An empty object removes yours.",
        body: RetentionAges,
        response: { 200: RetentionShown, ...ERRORS },
      },
    },
    (request) => retention.set(request.body, principalOf(request)),
  );
  app.get<{ Querystring: RetentionPreviewQuery }>(
    '/retention/preview',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        summary: 'A dry run: what would be deleted now',
        description: 'By the ages that hold, or by those that the query names. Of all owners, if the token sees them.',
        querystring: RetentionPreviewQuery,
        response: { 200: RetentionPreview, ...ERRORS },
      },
    },
    (request) => retention.preview(request.query, principalOf(request)),
  );
  app.post(
    '/retention/run',
    {
      config: { scope: 'admin', audit: 'retention_run' },
      schema: {
        tags,
        summary: 'Delete now what is older or takes more than it may',
        description: 'Also with KSI_RETENTION=off. Needs a token that sees all owners.',
        response: { 200: RetentionRun, ...ERRORS },
      },
    },
    (request) => retention.run(principalOf(request)),
  );
}
