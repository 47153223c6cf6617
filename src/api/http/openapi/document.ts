import { STATUS_CODES } from 'node:http';
import { Type, type TObject, type TSchema } from 'typebox';
import { OPERATIONS } from '../../../../contracts/api/operations.js';
import { Liveness, Readiness } from '../../../../contracts/api/health.js';
import { EventsQuery } from '../../../../contracts/api/ws.js';
import { IDEMPOTENCY_KEY_PATTERN } from '../../../../contracts/tasks/idempotency.js';
import { IDEMPOTENCY_HEADER } from '../../../../contracts/wire/names.js';
import { requestSchema, TAGS, type Operation } from '../../../../contracts/wire/operation.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import { ApiError, invalid } from '../../../errors/api-error.js';
import { problemOf } from '../../../errors/problem.js';
import { isAudited } from '../../record-operation.js';
import { EXAMPLES } from './examples.js';
import { HEADERS, headers, REQUEST_ID, type HeaderName } from './headers.js';
import { Schemas } from './schemas.js';

type Json = Readonly<Record<string, unknown>>;

/** Generates the OpenAPI document from the operations in contracts/. */
export function openApiDocument(version: string): Json {
  const schemas = new Schemas();
  const paths: Record<string, Record<string, unknown>> = {};
  const add = (method: string, path: string, operation: Json): void => {
    const visible = path.replaceAll(/:([a-z_]+)/g, '{$1}');
    paths[visible] = { ...paths[visible], [method.toLowerCase()]: operation };
  };
  for (const [name, operation] of Object.entries<Operation>(OPERATIONS))
    add(operation.method, operation.path, operationOf(name, operation, schemas));
  for (const [path, operation] of Object.entries(otherRoutes(schemas))) add('GET', path, operation);
  const problem = schemas.shown(Problem);
  const refused = (description: string, error: ApiError, ...more: HeaderName[]): Json => ({
    description,
    headers: headers(...more),
    content: { 'application/problem+json': media(problem, problemOf(error, REQUEST_ID)) },
  });
  return {
    openapi: '3.1.0',
    info: { title: 'KSI', version, description: INFO },
    servers: [{ url: '/', description: 'The API that serves this document' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      headers: HEADERS,
      responses: {
        Unauthorized: refused(
          'The token is missing, unknown, revoked or expired',
          new ApiError('unauthorized', 'The request has no valid bearer token'),
          'WWW-Authenticate',
        ),
        Forbidden: refused(
          'The token lacks the required scope',
          new ApiError('forbidden', 'This needs the scope `spawn`'),
          'WWW-Authenticate',
        ),
        Refused: refused(
          'The request was refused; `code` says why',
          invalid([{ field: 'prompt', message: 'is required' }]),
          'Retry-After',
          'RateLimit',
          'RateLimit-Policy',
        ),
        Failed: refused(
          'The API cannot answer now; `code` says why',
          new ApiError('broker_unavailable', 'The connection to the broker is lost'),
          'Retry-After',
        ),
      },
      schemas: schemas.used,
    },
  };
}

const INFO = `Runs fleets of Claude Code processes. Errors are RFC 9457 problem documents with a stable \`code\`.

Every answer has an \`X-Request-Id\`. To choose the id, send one of up to 128 letters, digits and \`. _ : / + = @ -\`. A \`traceparent\` continues the client's trace.`;

const response = (name: string): Json => ({ $ref: `#/components/responses/${name}` });

const ERRORS = { '4XX': response('Refused'), '5XX': response('Failed') };
const errorsOf = (scope: string | undefined): Json =>
  scope === undefined ? ERRORS : { 401: response('Unauthorized'), 403: response('Forbidden'), ...ERRORS };

const securityOf = (scope: string | undefined): Json[] => (scope === undefined ? [] : [{ token: [scope] }]);

function operationOf(name: string, operation: Operation, schemas: Schemas): Json {
  const { tag, summary, description, scope, params, query, body, answers } = operation;
  const example = EXAMPLES[name as keyof typeof EXAMPLES];
  const parameters = [
    ...parametersOf('path', params, schemas),
    ...parametersOf('query', query, schemas),
    ...headerParametersOf(operation, schemas),
  ];
  const all = Object.entries<TSchema>(answers);
  const successes = all.map(([status, schema], index) => {
    const visible = index === all.length - 1 ? example?.answer : undefined;
    const content = status === '204' ? undefined : contentOf(operation, schema, visible, schemas);
    return [status, { description: STATUS_CODES[status], headers: headers(...headersOf(operation, status)), content }];
  });
  return {
    operationId: name,
    tags: [tag],
    summary,
    description,
    security: securityOf(scope),
    parameters: parameters.length === 0 ? undefined : parameters,
    requestBody:
      body === undefined
        ? undefined
        : { required: 'required' in body, content: { 'application/json': media(schemas.shown(body), example?.body) } },
    responses: { ...Object.fromEntries(successes), ...withoutContent(operation), ...errorsOf(scope) },
    'x-ksi-audit': isAudited(operation) ? name : undefined,
  };
}

/** The answers without content that HTTP adds to those of an operation. */
const withoutContent = ({ method, event_stream: streams, etag }: Operation): Json => ({
  ...(streams === true ? { 204: { description: 'Event stream only: no more events', headers: headers() } } : {}),
  ...(method === 'GET' && etag === true ? { 304: { description: STATUS_CODES[304], headers: headers('ETag') } } : {}),
});

function parametersOf(where: 'path' | 'query', fields: TObject | undefined, schemas: Schemas): Json[] {
  if (fields === undefined) return [];
  return Object.entries<TSchema>(fields.properties).map(([name, schema]) => {
    const { description, ...visible } = schemas.parts(schema);
    const required = fields.required?.includes(name) ?? false;
    return {
      name,
      in: where,
      required,
      description,
      schema: visible,
      // `false`: the items of a list are separated by commas.
      explode: visible['type'] === 'array' ? false : undefined,
    };
  });
}

const IdempotencyKey = Type.String({ pattern: IDEMPOTENCY_KEY_PATTERN });
const ANY_REVISION = { type: 'string', pattern: '^\\*$', examples: ['*'] };
const REVISION = { type: 'string', pattern: '^"[1-9][0-9]{0,15}"$', examples: ['"7"'] };

function headerParametersOf(operation: Operation, schemas: Schemas): Json[] {
  const header = (name: string, description: string, schema: unknown): Json => ({
    name,
    in: 'header',
    required: false,
    description,
    schema,
  });
  const keyed = 'repeatable' in operation && operation.repeatable === 'keyed';
  const revised = operation.etag === true && 'revision' in requestSchema(operation).properties;
  return [
    ...(keyed
      ? [header(IDEMPOTENCY_HEADER, 'Requests with the same key are the same request.', schemas.parts(IdempotencyKey))]
      : []),
    ...(revised
      ? [
          header('If-Match', 'Refuse unless this is the current revision. Same as `revision`.', REVISION),
          ...(operation.method === 'DELETE'
            ? []
            : [header('If-None-Match', '`*`: refuse if a value exists.', ANY_REVISION)]),
        ]
      : []),
    ...(operation.method === 'GET' && operation.etag === true
      ? [header('If-None-Match', 'Answers 304 if the value has this `ETag`.', { type: 'string', examples: ['"7"'] })]
      : []),
    ...(operation.event_stream === true
      ? [header('Last-Event-ID', 'Resumes the stream after this event.', { type: 'string' })]
      : []),
  ];
}

function headersOf(operation: Operation, status: string): HeaderName[] {
  const { location, etag, no_store: noStore, rate_limited: limited } = operation;
  if (status === '204') return [];
  return [
    ...(location === undefined ? [] : (['Location'] as const)),
    ...(etag === true ? (['ETag'] as const) : []),
    ...(noStore === true ? (['Cache-Control'] as const) : []),
    ...(limited === true ? (['RateLimit', 'RateLimit-Policy'] as const) : []),
    ...('repeatable' in operation && operation.repeatable === 'keyed' ? (['Idempotent-Replayed'] as const) : []),
  ];
}

const media = (schema: unknown, example: unknown): Json => ({ schema, example });

/** An answer's media types with their schemas. */
function contentOf(operation: Operation, schema: TSchema, example: unknown, schemas: Schemas): Json {
  const { text, json_text: json = {}, event_stream: streams, bytes } = operation;
  if (bytes !== undefined) return { [bytes.split(';', 1)[0] ?? '']: { schema: schemas.shown(schema) } };
  if (text !== undefined)
    return Object.fromEntries(
      Object.values(text).map((type) => {
        const [name = ''] = type.split(';');
        return [name, { schema: schemas.shown(name === 'application/json' ? json : schema) }];
      }),
    );
  return {
    'application/json': media(schemas.shown(schema), example),
    ...(streams === true
      ? { 'text/event-stream': { schema: { type: 'string', description: 'Server-sent events, until the outcome.' } } }
      : {}),
  };
}

/** The routes without an operation: the probes and the WebSocket. */
function otherRoutes(schemas: Schemas): Json & Record<string, Json> {
  const ok = (schema: TSchema, type = 'application/json', description = 'OK'): Json => ({
    description,
    headers: headers(),
    content: { [type]: { schema: schemas.shown(schema) } },
  });
  const route = (operationId: string, summary: string, responses: Json, more: Json = {}): Json => ({
    operationId,
    tags: ['System'],
    summary,
    security: [],
    ...more,
    responses: { ...responses, ...errorsOf('security' in more ? 'read' : undefined) },
  });
  const security = securityOf('read');
  return {
    '/livez': route('livez', 'Whether the process answers', { 200: ok(Liveness) }),
    '/readyz': route('readyz', 'Whether a new task can be accepted and run now', {
      200: ok(Readiness),
      503: ok(Readiness, undefined, 'Not ready'),
    }),
    '/metrics': route(
      'metrics',
      'Prometheus metrics',
      { 200: ok(Type.String(), 'text/plain') },
      {
        security,
        description: 'Metrics of cost and tokens are labelled by owner. Only a token that sees all owners gets them.',
      },
    ),
    '/events': route(
      'events',
      'Events over WebSocket',
      { 101: { description: 'The WebSocket is open. docs/sdk.md describes its frames', headers: headers() } },
      { security, tags: ['Events'], parameters: parametersOf('query', EventsQuery, schemas) },
    ),
  };
}
