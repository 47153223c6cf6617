import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
import type { Config } from '../../contracts/config.js';
import { ApiError } from './api-error.js';
import { isOpen, type Authenticator } from './auth.js';
import { PROBLEM_TYPE, problemOf, toApiError } from './problems.js';
import { validatorCompiler } from './validation.js';

export interface EdgeOptions {
  readonly config: Pick<Config, 'KSI_MAX_BODY_BYTES'>;
  readonly log: Logger;
  readonly authenticator: Authenticator;
  /** What a request that no route takes is answered. Default: 404. */
  readonly unknown?: (request: FastifyRequest) => ApiError;
}

const notFound = ({ method, url }: FastifyRequest): ApiError =>
  new ApiError('not_found', `There is no ${method} ${url.split('?', 1)[0]}`);

/** An HTTP server without routes: what every request passes, and how every fault is answered. */
export function buildEdge({ config, log, authenticator, unknown = notFound }: EdgeOptions): FastifyInstance {
  const sendProblem = (error: ApiError, request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    problem(log, error, request, reply);
  const app = Fastify({
    loggerInstance: log,
    logger: undefined,
    // A line per request would cost more than the request; errors are logged below.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.KSI_MAX_BODY_BYTES,
    genReqId: () => uuidv7(),
    requestIdHeader: false,
    // At a shutdown idle keep-alive connections are no reason to wait.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    // Faults that Fastify finds before any hook: they too say nothing to one without a token.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const known = authenticator.principalOf(request.headers.authorization) !== undefined;
      return sendProblem(known ? toApiError(error) : noToken(), request, reply);
    },
  } as Parameters<typeof Fastify>[0]) as unknown as FastifyInstance;
  // One way in: JSON. Fastify would also take text.
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(validatorCompiler as never);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.decorateRequest('principal', undefined);
  app.addHook('onRequest', async (request) => {
    request.principal = authenticator.principalOf(request.headers.authorization);
    if (request.principal === undefined && !isOpen(request.url)) throw noToken();
  });
  app.setErrorHandler((error, request, reply) => sendProblem(toApiError(error), request, reply));
  app.setNotFoundHandler((request, reply) => sendProblem(unknown(request), request, reply));
  return app;
}

const noToken = (): ApiError => new ApiError('unauthorized', 'The request has no valid bearer token');

function problem(log: Logger, error: ApiError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.status >= 500)
    request.log.error(
      { err: error, request_id: request.id, method: request.method, url: request.url.split('?', 1)[0] },
      'request failed',
    );
  else log.debug({ code: error.code, request_id: request.id }, error.message);
  // A refused upgrade has left Node's HTTP server, which would not end its connection any more, not even at a shutdown.
  if (request.headers.upgrade !== undefined)
    reply.header('connection', 'close').raw.once('finish', () => request.socket.end());
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
  return reply
    .code(error.status)
    .header('content-type', PROBLEM_TYPE)
    .serializer(JSON.stringify)
    .send(problemOf(error, request.id));
}
