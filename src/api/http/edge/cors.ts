import type { FastifyInstance } from 'fastify';
import { HEADER, IDEMPOTENCY_HEADER, REQUEST_ID_HEADER } from '../../../../contracts/wire/names.js';
import type { HostPolicy } from './host-policy.js';

/** The answer headers that pages may read. */
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
 * Lets pages of the origins in KSI_ALLOWED_ORIGINS read answers. The answer names the page's origin, never a wildcard. Preflights are answered
 * before the token check, because browsers send them without the token. Credentials are not allowed: the API uses no cookies.
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
    // Without `done()`, Fastify calls no further hooks.
    void reply.code(204).headers(PREFLIGHT).send();
  });
}
