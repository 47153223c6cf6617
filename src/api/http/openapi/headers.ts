import { REPLAYED_HEADER, REQUEST_ID_HEADER } from '../../../../contracts/wire/names.js';

const header = (description: string, schema: object, example?: unknown): object => ({ description, schema, example });
const text = { type: 'string' };

export const REQUEST_ID = '0199f2a4-8c1e-7d3b-9b52-4f1f6f0c2a11';

/** The headers of answers. */
export const HEADERS = {
  [REQUEST_ID_HEADER]: header("The request's id, as in the logs", text, REQUEST_ID),
  Location: header('The path of the thing that was created', { type: 'string', format: 'uri-reference' }),
  ETag: header('The revision, in quotes: send it as `If-Match`', text, '"7"'),
  'Cache-Control': header('The answer holds a secret', { const: 'no-store' }),
  RateLimit: header("What is left of the token's rate limit", text, '"spawn";r=599;t=60'),
  'RateLimit-Policy': header("The token's rate limit", text, '"spawn";q=600;w=60'),
  [REPLAYED_HEADER]: header('An earlier request with the same key did it', { const: 'true' }),
  'Retry-After': header('Seconds after which to try again', { type: 'integer' }, 2),
  'WWW-Authenticate': header('What is wrong with the token (RFC 6750)', text, 'Bearer error="invalid_token"'),
} as const;
export type HeaderName = keyof typeof HEADERS;

/** References to the headers of an answer, which always has a request id. */
export const headers = (...names: HeaderName[]): Record<string, object> =>
  Object.fromEntries([REQUEST_ID_HEADER, ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
