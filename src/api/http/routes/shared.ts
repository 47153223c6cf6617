import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import {
  SharedDelete,
  SharedEntry,
  SharedListQuery,
  SharedPage,
  SharedParams,
  SharedQuery,
  SharedSet,
  SharedValue,
} from '../../../../contracts/agents/shared.js';
import { invalid } from '../../../errors/api-error.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function sharedRoutes(app: FastifyInstance, { shared }: ApiContext): void {
  app.get<{ Querystring: SharedListQuery }>(
    '/shared',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Shared state'],
        summary: 'The keys that there are, without their values',
        querystring: SharedListQuery,
        response: { 200: SharedPage, ...ERRORS },
      },
    },
    (request) => shared.page(request.query, principalOf(request)),
  );
  app.get<{ Params: SharedParams; Querystring: SharedQuery }>(
    '/shared/:key',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Shared state'],
        summary: 'A value, as it is now',
        description:
          'Its revision is the `ETag`. Changes are told as events: `GET /events?subject=ksi.events.shared.<owner>.<key>` (docs/prompts.md).',
        params: SharedParams,
        querystring: SharedQuery,
        response: { 200: SharedValue, ...ERRORS },
      },
    },
    async (request, reply) => {
      const found = await shared.get(request.params.key, principalOf(request), request.query);
      return reply.header('etag', etagOf(found)).send(found);
    },
  );
  app.put<{ Params: SharedParams; Body: SharedSet }>(
    '/shared/:key',
    {
      config: { scope: 'agents', audit: 'shared_set' },
      schema: {
        tags: ['Shared state'],
        summary: 'Set a value',
        description:
          'With `revision` or `If-Match: "REVISION"` only if that is its revision still; with `revision` 0 or `If-None-Match: *` only if there is none. Else 409.',
        params: SharedParams,
        body: SharedSet,
        response: { 200: SharedEntry, ...ERRORS },
      },
    },
    async (request, reply) => {
      const { key } = request.params;
      request.target = key;
      const { value, revision } = request.body;
      const set = await shared.set(value, { key, revision: expectedBy(request, revision) }, principalOf(request));
      return reply.header('etag', etagOf(set)).send(set);
    },
  );
  app.delete<{ Params: SharedParams; Querystring: SharedDelete }>(
    '/shared/:key',
    {
      config: { scope: 'agents', audit: 'shared_delete' },
      schema: {
        tags: ['Shared state'],
        summary: 'Delete a value',
        params: SharedParams,
        querystring: SharedDelete,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      const { key } = request.params;
      request.target = key;
      await shared.delete({ key, revision: expectedBy(request, request.query.revision) }, principalOf(request));
      return reply.code(204).send();
    },
  );
}

const etagOf = ({ revision }: { revision: number }): string => `"${revision}"`;

/** The revision that a change expects, by its field or header. @throws {ApiError} */
function expectedBy({ headers }: FastifyRequest, given: number | undefined): number | undefined {
  const ifMatch = headers['if-match'];
  const ifNone = headers['if-none-match'];
  const tag = /^"([1-9][0-9]{0,15})"$/.exec(ifMatch ?? '')?.[1];
  if (ifMatch !== undefined && tag === undefined)
    throw invalid([{ field: 'If-Match', message: 'must be one revision in quotes, as `ETag` has it' }]);
  if (ifNone !== undefined && ifNone !== '*') throw invalid([{ field: 'If-None-Match', message: 'must be `*`' }]);
  const all = new Set([given, tag === undefined ? undefined : Number(tag), ifNone === undefined ? undefined : 0]);
  all.delete(undefined);
  const [expected, another] = all;
  if (another !== undefined) throw invalid([{ field: 'revision', message: 'is another one than the header has' }]);
  return expected;
}
