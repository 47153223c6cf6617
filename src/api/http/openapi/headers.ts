import { REPLAYED_HEADER, REQUEST_ID_HEADER } from '../../../../contracts/wire/names.js';

const header = (description: string, schema: object, example?: unknown): object => ({ description, schema, example });
const text = { type: 'string' };

export const REQUEST_ID = '0199f2a4-8c1e-7d3b-9b52-4f1f6f0c2a11';

/** The headers that answers can have. */
export const HEADERS = {
  [REQUEST_ID_HEADER]: header("The request's id, as it appears in logs", text, REQUEST_ID),
  Location: header('The path of the created resource', { type: 'string', format: 'uri-reference' }),
  ETag: header('The revision, in quotes. Send it as `If-Match` with a change', text, '"7"'),
  'Cache-Control': header('The answer contains a secret', { const: 'no-store' }),
  RateLimit: header("The remaining requests of the token's rate limit", text, '"spawn";r=599;t=60'),
  'RateLimit-Policy': header("The token's rate limit", text, '"spawn";q=600;w=60'),
  [REPLAYED_HEADER]: header('This is the answer to an earlier request with the same idempotency key', {
    const: 'true',
  }),
  'Retry-After': header('Seconds to wait before a retry', { type: 'integer' }, 2),
  'WWW-Authenticate': header('The reason why the token was refused (RFC 6750)', text, 'Bearer error="invalid_token"'),
} as const;
export type HeaderName = keyof typeof HEADERS;

/** References to headers of an answer. Adds the request id, which every answer has. */
export const headers = (...names: HeaderName[]): Record<string, object> =>
  Object.fromEntries([REQUEST_ID_HEADER, ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
