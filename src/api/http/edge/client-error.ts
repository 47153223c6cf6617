import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { ApiErrorCode } from '../../../../contracts/wire/errors.js';
import { REQUEST_ID_HEADER } from '../../../../contracts/wire/names.js';
import { ApiError } from '../../../errors/api-error.js';
import { PROBLEM_TYPE, problemOf } from '../../../errors/problem.js';
import { requestIdFrom } from '../../../telemetry/correlation.js';

/** What Node calls a request that is none, and what that is of ours. */
const CODES: Readonly<Record<string, { code: ApiErrorCode; why: string }>> = {
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'request_timeout', why: 'The request took too long to arrive' },
  HPE_HEADER_OVERFLOW: { code: 'headers_too_large', why: 'The headers are larger than 16 KiB' },
};
const OTHER = { code: 'invalid_request', why: 'This is not HTTP/1.1' } as const;

/**
 * Answers what never became a request, in the form of all refusals. Nothing of it is logged: an error of the parser holds the whole
 * packet, the token in it too.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (!socket.writable) {
    socket.destroy(error);
    return;
  }
  const { code, why } = CODES[error.code ?? ''] ?? OTHER;
  const requestId = requestIdFrom(undefined);
  const problem = problemOf(new ApiError(code, why), requestId);
  const body = JSON.stringify(problem);
  socket.write(
    [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
      `Content-Type: ${PROBLEM_TYPE}`,
      `${REQUEST_ID_HEADER}: ${requestId}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
  socket.destroySoon();
}
