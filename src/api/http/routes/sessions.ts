import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionsQuery,
  TranscriptQuery,
  SessionParams,
} from '../../../../contracts/sessions/sessions.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function sessionRoutes(app: FastifyInstance, { sessions, broker }: ApiContext): void {
  app.get<{ Querystring: SessionsQuery }>(
    '/sessions',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Sessions'],
        summary: 'Sessions, those with the newest tasks first',
        querystring: SessionsQuery,
        response: { 200: SessionPage, ...ERRORS },
      },
    },
    (request) => sessions.page(request.query, principalOf(request)),
  );
  app.get<{ Params: SessionParams }>(
    '/sessions/:id',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Sessions'],
        summary: 'One session: its tasks counted, and what they took',
        params: SessionParams,
        response: { 200: Session, ...ERRORS },
      },
    },
    (request) => sessions.one(request.params.id, principalOf(request)),
  );
  app.get<{ Params: SessionParams; Querystring: TranscriptQuery }>(
    '/sessions/:id/transcript',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Sessions'],
        summary: 'What was said in a session',
        description: 'Lines of JSON as Claude Code keeps them (`application/x-ndjson`), or Markdown.',
        params: SessionParams,
        querystring: TranscriptQuery,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      const { format = 'jsonl' } = request.query;
      const text = await sessions.transcript(request.params.id, format, principalOf(request));
      reply.type(format === 'jsonl' ? 'application/x-ndjson' : 'text/markdown; charset=utf-8');
      return reply.serializer((body: unknown) => String(body)).send(text);
    },
  );
  app.get<{ Params: SessionParams }>(
    '/sessions/:id/export',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Sessions'],
        summary: 'The whole session, subagents included, to keep or to import elsewhere',
        params: SessionParams,
        response: { 200: SessionExport, ...ERRORS },
      },
    },
    (request) => sessions.export(request.params.id, principalOf(request)),
  );
  app.post<{ Body: SessionExport }>(
    '/sessions/import',
    {
      config: { scope: 'spawn', audit: 'session_import' },
      schema: {
        tags: ['Sessions'],
        summary: 'Bring an exported session in',
        description: 'It is yours then. 409 when there is a session of that id or name.',
        body: SessionExport,
        response: { 201: ImportAnswer, ...ERRORS },
      },
    },
    async (request, reply) => {
      const made = await sessions.import(request.body, principalOf(request), broker.clock.now());
      return reply.code(201).header('location', `/sessions/${made.session_id}`).send(made);
    },
  );
}
