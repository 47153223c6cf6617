import { pipeline, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { constants, createGzip, gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** Compressing a smaller answer costs more time than it saves. */
const MIN_BYTES = 8_192;
const TEXT = /^(text\/|application\/(problem\+)?json)/;
const LEVEL = { level: constants.Z_BEST_SPEED };
const compress = promisify(gzip);

/**
 * Compresses large text answers. Never compresses an answer that has a secret, which is marked `no-store`: the compressed size can reveal it (BREACH).
 * Event streams do not pass this hook. An answer with an `ETag` is left as it is, because its compressed form would need another one.
 */
export function compressLargeAnswers(app: FastifyInstance): void {
  app.addHook('onSend', async ({ method, headers }, reply, payload) => {
    if (!isCompressible(reply, payload)) return payload;
    const vary = reply.getHeader('vary');
    reply.header('vary', vary === undefined ? 'Accept-Encoding' : `${String(vary)}, Accept-Encoding`);
    if (method === 'HEAD' || !acceptsGzip(headers['accept-encoding'])) return payload;
    reply.removeHeader('content-length').header('content-encoding', 'gzip');
    // Fastify handles an error of the returned stream, which is also destroyed if the source fails.
    return payload instanceof Readable
      ? pipeline(payload, createGzip(LEVEL), () => undefined)
      : compress(payload, LEVEL);
  });
}

function isCompressible(reply: FastifyReply, payload: unknown): payload is string | Buffer | Readable {
  if (reply.hasHeader('content-encoding') || reply.hasHeader('etag')) return false;
  if (String(reply.getHeader('cache-control')).includes('no-store')) return false;
  if (!TEXT.test(String(reply.getHeader('content-type')))) return false;
  if (payload instanceof Readable) return !(Number(reply.getHeader('content-length')) < MIN_BYTES);
  return typeof payload === 'string' || Buffer.isBuffer(payload) ? Buffer.byteLength(payload) >= MIN_BYTES : false;
}

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
