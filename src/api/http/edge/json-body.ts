import type { FastifyInstance } from 'fastify';
import { textOf } from '../../../json.js';
import { ApiError } from '../../../errors/api-error.js';

const CHARSET = /;\s*charset\s*=\s*"?([^;"\s]+)/i;

/** Accepts only JSON in UTF-8 as a body. By default Fastify would replace invalid bytes and accept the rest. */
export function acceptJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const charset = CHARSET.exec(request.headers['content-type'] ?? '')?.[1]?.toLowerCase();
    if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')
      return done(new ApiError('unsupported_media_type', `JSON must be UTF-8, but the request declares ${charset}`));
    const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
    if (encoding !== 'identity')
      return done(
        new ApiError('unsupported_media_type', `The body has the Content-Encoding ${encoding}. Send it uncompressed`),
      );
    // Generated clients send the Content-Type with every request. An operation that needs a body misses it in its validation.
    if (body.length === 0) return done(null, undefined);
    const text = textOf(body as Buffer);
    if (text === undefined) return done(new ApiError('invalid_json', 'The body is not valid UTF-8'));
    return parse(request, text, done);
  });
}
