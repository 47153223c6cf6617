import { pipeline, Readable } from 'node:stream';
import { constants, createGzip, gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** Compressing a smaller answer costs more time than it saves. */
const MIN_BYTES = 8_192;
const TEXT = /^(text\/|application\/(problem\+)?json)/;
const LEVEL = { level: constants.Z_BEST_SPEED };

/**
 * Compresses large text answers. Never compresses an answer that has a secret, which is marked `no-store`: the compressed size can reveal it (BREACH).
 * Event streams do not pass this hook. An answer with an `ETag` is left as it is, because its compressed form would need another one.
 */
export function compressLargeAnswers(app: FastifyInstance): void {
  // Not async: nearly all answers are small, and a promise costs time in each of them.
  app.addHook('onSend', ({ method, headers }, reply, payload, done) => {
    if (!isCompressible(reply, payload)) return done(null, payload);
    const vary = reply.getHeader('vary');
    reply.header('vary', vary === undefined ? 'Accept-Encoding' : `${String(vary)}, Accept-Encoding`);
    if (method === 'HEAD' || !acceptsGzip(headers['accept-encoding'])) return done(null, payload);
    reply.removeHeader('content-length').header('content-encoding', 'gzip');
    // Fastify handles an error of the returned stream, which is also destroyed if the source fails.
    if (payload instanceof Readable)
      return done(
        null,
        pipeline(payload, createGzip(LEVEL), () => undefined),
      );
    gzip(payload, LEVEL, done);
  });
}

function isCompressible(reply: FastifyReply, payload: unknown): payload is string | Buffer | Readable {
  if (!(payload instanceof Readable) && !isLarge(payload)) return false;
  if (reply.hasHeader('content-encoding') || reply.hasHeader('etag')) return false;
  if (String(reply.getHeader('cache-control')).includes('no-store')) return false;
  if (!TEXT.test(String(reply.getHeader('content-type')))) return false;
  return !(payload instanceof Readable) || !(Number(reply.getHeader('content-length')) < MIN_BYTES);
}

const isLarge = (payload: unknown): payload is string | Buffer =>
  (typeof payload === 'string' || Buffer.isBuffer(payload)) && Buffer.byteLength(payload) >= MIN_BYTES;

/** Whether an `Accept-Encoding` header (RFC 9110) includes gzip. */
function acceptsGzip(header: string | string[] | undefined): boolean {
  const weights = new Map(
    String(header ?? '')
      .toLowerCase()
      .split(',')
      .map((coding) => {
        const [name = '', ...parameters] = coding.split(';').map((part) => part.trim());
        return [name, !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))] as const;
      }),
  );
  return weights.get('gzip') ?? weights.get('*') ?? false;
}
