import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { OPERATIONS, type OperationName } from '../../../contracts/api/operations.js';
import { REPLAYED_HEADER } from '../../../contracts/wire/names.js';
import { requestSchema, type Operation } from '../../../contracts/wire/operation.js';
import { pathOf } from '../../../contracts/wire/path.js';
import { defined } from '../../defined.js';
import type { Call, Handlers } from '../../access/handlers.js';
import { expectedRevision, matchesTag } from './revision.js';
import { HttpCall } from './call.js';

/** Answers a request. Operations that stream or set special headers have their own. */
export type Reply = (request: FastifyRequest, reply: FastifyReply, call: Call) => Promise<FastifyReply>;

/** Adds a route for each operation. */
export function mount(
  app: FastifyInstance,
  handlers: Handlers<typeof OPERATIONS>,
  replies: Partial<Record<OperationName, Reply>>,
): void {
  for (const [name, operation] of Object.entries(OPERATIONS) as [OperationName, Operation][]) {
    const send = replies[name] ?? replyOf(operation, handlers[name] as Handler);
    app.route({
      method: operation.method,
      url: operation.path,
      // A HEAD request would open the stream and read it to its end.
      ...((name in replies && operation.method === 'GET') || operation.bytes !== undefined
        ? { exposeHeadRoute: false }
        : {}),
      config: {
        scope: operation.scope,
        operation: name,
        takesTicket: operation.event_stream === true ? 'event_stream' : undefined,
      },
      schema: schemaOf(operation),
      handler: (request, reply) => {
        request.fields = fieldsOf(operation, request);
        return send(request, reply, new HttpCall(request, reply));
      },
    });
  }
}

type Fields = Readonly<Record<string, unknown>>;
type Handler = (request: Fields, call: Call) => unknown;

/** The validated fields of a request: path parameters, query and body. */
const fieldsOf = ({ params, query, body }: Operation, request: FastifyRequest): Fields => ({
  ...(params === undefined ? {} : (request.params as Fields)),
  ...(query === undefined ? {} : (request.query as Fields)),
  ...(body === undefined ? {} : (request.body as Fields)),
});

function replyOf(operation: Operation, handle: Handler): Reply {
  const { answers, location, no_store: noStore, etag, text, bytes } = operation;
  const [success] = Object.keys(answers).map(Number);
  const takesRevision = etag === true && 'revision' in requestSchema(operation).properties;
  return async (request, reply, call) => {
    const fields = request.fields ?? {};
    const revised = takesRevision ? { revision: expectedRevision(request.headers, fields) } : {};
    const answer = await handle({ ...fields, ...revised }, call);
    request.answer = answer;
    if (answer === undefined) return reply.code(204).send();
    reply.code(success ?? 200);
    if (location !== undefined) reply.header('location', pathOf(location, answer as Fields));
    if (call.replayed) reply.header(REPLAYED_HEADER, 'true');
    if (noStore === true) reply.header('cache-control', 'no-store');
    if (bytes !== undefined) return reply.type(bytes).send(Readable.fromWeb(answer as ReadableStream));
    const { revision } = answer as Fields;
    if (etag === true && Number(revision) > 0) {
      const tag = `"${String(revision)}"`;
      reply.header('etag', tag);
      if (operation.method === 'GET' && matchesTag(request.headers['if-none-match'], tag))
        return reply.code(304).send();
    }
    if (text !== undefined) reply.type(mediaType(text, fields)).serializer(String);
    return reply.send(answer);
  };
}

const mediaType = (types: Readonly<Record<string, string>>, { format }: Fields): string =>
  types[String(format)] ?? Object.values(types)[0] ?? '';

/** The schemas that Fastify validates requests with. */
const schemaOf = ({ params, query, body }: Operation): FastifySchema => defined({ params, querystring: query, body });
