import type { FastifyInstance } from 'fastify';
import { HEADER, IDEMPOTENCY_HEADER, REQUEST_ID_HEADER } from '../../../../contracts/wire/names.js';
import type { HostPolicy } from './host-policy.js';

/** What a page may read of an answer beside its body. */
const EXPOSED = ['RateLimit', 'RateLimit-Policy', 'Retry-After', 'Location', 'ETag', REQUEST_ID_HEADER].join(', ');

const PREFLIGHT = {
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': [
    'authorization',
    'content-type',
    IDEMPOTENCY_HEADER,
    REQUEST_ID_HEADER,
    HEADER.traceparent,
    'last-event-id',
    'if-match',
    'if-none-match',
  ]
    .join(', ')
    .toLowerCase(),
  'access-control-max-age': '600',
};

/**
 * Lets pages of the origins that the operator named read answers: each is named back, never a wildcard. A preflight is answered
 * here, as browsers send it without the token. Never with credentials: cookies are nothing to the API.
 */
export function cors(app: FastifyInstance, hostPolicy: Pick<HostPolicy, 'sharesWith'>): void {
  app.addHook('onRequest', ({ method, headers }, reply, done) => {
    const { origin } = headers;
    if (origin === undefined || !hostPolicy.sharesWith(origin)) return done();
    reply.headers({
      'access-control-allow-origin': origin,
      vary: 'Origin',
      'access-control-expose-headers': EXPOSED,
    });
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return done();
    // Answered: nothing after this hook is called.
    void reply.code(204).headers(PREFLIGHT).send();
  });
}
