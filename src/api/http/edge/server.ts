import type { IncomingMessage } from 'node:http';
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from '../../../../contracts/config/config.js';
import { REQUEST_ID_HEADER } from '../../../../contracts/wire/names.js';
import { ApiError } from '../../../errors/api-error.js';
import { demand, hasToken, isOpen, type Authenticator } from '../../../access/auth.js';
import { PROBLEM_TYPE, problemOf, toApiError } from '../../../errors/problem.js';
import { requestIdFrom } from '../../../telemetry/correlation.js';
import { acceptsEventStream } from '../request-principal.js';
import type { Tickets } from '../../../access/tokens/tickets.js';
import type { Principal } from '../../../access/principal.js';
import { rateHeaders } from '../../../access/rates/limiter.js';
import { validatorCompiler } from '../validation.js';
import { answerClientError } from './client-error.js';
import { compressLargeAnswers } from './compression.js';
import { cors } from './cors.js';
import { HostPolicy } from './host-policy.js';
import { acceptJsonOnly } from './json-body.js';
import { securityHeaders } from './security-headers.js';
import { endWithAnswer } from './upgrades.js';
import type { Tls } from './tls.js';

export interface HttpServerOptions {
  readonly config: Pick<
    Config,
    'KSI_HOST' | 'KSI_ALLOWED_HOSTS' | 'KSI_ALLOWED_ORIGINS' | 'KSI_MAX_BODY_BYTES' | 'KSI_MAX_CONNECTIONS'
  >;
  readonly log: Logger;
  readonly authenticator: Authenticator;
  readonly tls: Tls | undefined;
  /** Undefined: the server accepts no tickets. */
  readonly tickets?: Tickets;
  /** The error for a request that matches no route. Default: `not_found`. */
  readonly unmatched?: (request: FastifyRequest) => ApiError;
}

/** A request must arrive completely in this time, so that slow clients cannot occupy connections. */
const REQUEST_MS = 60_000;
const LIMITS = { headersTimeout: 10_000, connectionsCheckingInterval: 2_000, maxHeaderSize: 16_384 };

const SAFE_METHODS = new Set(['GET', 'HEAD']);

const notFound = ({ method, url }: FastifyRequest): ApiError =>
  new ApiError('not_found', `There is no route ${method} ${url.split('?', 1)[0]}`);

/** Builds an HTTP server without routes. It has the checks for all requests, and answers all faults with problem documents. */
export async function buildHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { config, log, authenticator, tls, tickets, unmatched = notFound } = options;
  const hostPolicy = new HostPolicy(config);
  const app = Fastify({
    loggerInstance: log,
    logger: undefined,
    // A log line per request would cost more than the request. `sendProblem` logs errors.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    // Keys of shared state have up to 256 characters of four bytes, each percent-encoded as three characters.
    routerOptions: { maxParamLength: 3_072 },
    bodyLimit: config.KSI_MAX_BODY_BYTES,
    genReqId: ({ headers }: IncomingMessage) => requestIdFrom(headers[REQUEST_ID_HEADER.toLowerCase()]?.toString()),
    requestIdHeader: false,
    requestTimeout: REQUEST_MS,
    ...(tls === undefined ? { http: LIMITS } : { https: { ...tls.current, ...LIMITS } }),
    // A shutdown does not wait for idle keep-alive connections.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    // Fastify reports some faults before any hook runs, so the host, origin and token are checked here too.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      endWithAnswer(request, reply);
      return sendProblem(toApiError(accessFault(request, hostPolicy, authenticator) ?? error), request, reply);
    },
    clientErrorHandler: answerClientError,
  } as Parameters<typeof Fastify>[0]) as unknown as FastifyInstance;
  app.server.maxConnections = config.KSI_MAX_CONNECTIONS;
  acceptJsonOnly(app);
  app.setValidatorCompiler(validatorCompiler as never);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.decorateRequest('principal', undefined);
  app.decorateRequest('fields', undefined);
  app.decorateRequest('answer', undefined);
  app.decorateRequest('errorCode', undefined);
  app.addHook('onRoute', ({ url, method, config: route }) => {
    // Without a scope, any token could use the route.
    if (!isOpen(url) && route?.scope === undefined && route?.anyScope !== true)
      throw new Error(`The route ${url} has no scope`);
    const reads = [method].flat().every((each) => SAFE_METHODS.has(each));
    if (route?.scope !== undefined && route.operation === undefined && !reads)
      throw new Error(`The route ${String(method)} ${url} belongs to no operation, so the audit would not record it`);
  });
  const fixedHeaders = securityHeaders(tls !== undefined);
  // One hook, and none of these hooks is async, because each hook and each promise costs microseconds per request.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID_HEADER, request.id);
    endWithAnswer(request, reply);
    reply.headers(fixedHeaders);
    // This check comes first, so that a foreign page or host name learns nothing from later checks.
    checkHost(request, hostPolicy);
    done();
  });
  cors(app, hostPolicy);
  compressLargeAnswers(app);
  app.addHook('onRequest', (request, _reply, done) => {
    const { authorization } = request.headers;
    // The next hook redeems the ticket.
    if (authorization === undefined && tickets !== undefined && bringsTicket(request)) return done();
    admit(request, authenticator.principalOf(authorization));
    done();
  });
  if (tickets !== undefined)
    app.addHook('onRoute', (route) => {
      if (route.config?.takesTicket === undefined) return;
      route.onRequest = async (request: FastifyRequest) => {
        if (request.principal === undefined && bringsTicket(request))
          admit(request, await principalOfTicket(request, authenticator, tickets));
      };
    });
  app.setErrorHandler((error, request, reply) => sendProblem(toApiError(error), request, reply));
  app.setNotFoundHandler((request, reply) => sendProblem(unmatched(request), request, reply));
  return app;
}

/** @throws {ApiError} invalid_request, host_not_allowed, origin_not_allowed */
function checkHost({ headers, raw }: FastifyRequest, hostPolicy: HostPolicy): void {
  // Node uses the first of several Host headers. A proxy in front may have used another one.
  let hosts = 0;
  for (let i = 0; i < raw.rawHeaders.length; i += 2) if (raw.rawHeaders[i]?.toLowerCase() === 'host') hosts++;
  if (hosts > 1) throw new ApiError('invalid_request', 'The request has more than one Host header');
  hostPolicy.check(headers.host, headers.origin);
}

/** `WWW-Authenticate` (RFC 6750): the token is missing, invalid or lacks a scope. */
function challengeOf({ code }: ApiError, { headers, routeOptions }: FastifyRequest): string | undefined {
  if (code === 'unauthorized') return hasToken(headers.authorization) ? 'Bearer error="invalid_token"' : 'Bearer';
  if (code !== 'forbidden') return undefined;
  const { scope } = routeOptions.config;
  return `Bearer error="insufficient_scope"${scope === undefined ? '' : `, scope="${scope}"`}`;
}

/** Returns the error of the host, origin or token check. Undefined: the request passes. */
function accessFault({ headers }: FastifyRequest, hostPolicy: HostPolicy, authenticator: Authenticator): unknown {
  try {
    hostPolicy.check(headers.host, headers.origin);
  } catch (error) {
    return error;
  }
  return authenticator.principalOf(headers.authorization) === undefined ? noToken() : undefined;
}

const noToken = (): ApiError => new ApiError('unauthorized', 'The request has no valid bearer token');

/** Lets a request pass if its route is open, or if its principal has the route's scope. @throws {ApiError} unauthorized, forbidden */
function admit(request: FastifyRequest, principal: Principal | undefined): void {
  request.principal = principal;
  if (isOpen(request.url)) return;
  if (principal === undefined) throw noToken();
  const { scope } = request.routeOptions.config;
  if (scope !== undefined) demand(principal, scope);
}

/** Only WebSockets and event streams may use a ticket, because browsers cannot set headers on them. */
function bringsTicket(request: FastifyRequest): boolean {
  const { takesTicket } = request.routeOptions.config;
  if (takesTicket === 'websocket') return request.headers.upgrade !== undefined;
  return takesTicket !== undefined && acceptsEventStream(request);
}

async function principalOfTicket(
  request: FastifyRequest,
  authenticator: Authenticator,
  tickets: Tickets,
): Promise<Principal | undefined> {
  const { ticket } = request.query as { ticket?: unknown };
  if (typeof ticket !== 'string') return undefined;
  const tokenId = await tickets.redeem(ticket);
  return tokenId === undefined ? undefined : authenticator.holderOf(tokenId);
}

function sendProblem(error: ApiError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  request.errorCode = error.code;
  if (error.status >= 500)
    request.log.error({ err: error, method: request.method, url: request.url.split('?', 1)[0] }, 'request failed');
  // The message may quote the client's input, so only the code is logged.
  else request.log.debug({ code: error.code }, 'request refused');
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
  if (error.rate !== undefined) reply.headers(rateHeaders(error.rate));
  const challenge = challengeOf(error, request);
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  return reply
    .code(error.status)
    .header('content-type', PROBLEM_TYPE)
    .header(REQUEST_ID_HEADER, request.id)
    .serializer(JSON.stringify)
    .send(problemOf(error, request.id));
}
