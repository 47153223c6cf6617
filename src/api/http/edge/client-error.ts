import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { ApiErrorCode } from '../../../../contracts/wire/errors.js';
import { REQUEST_ID_HEADER } from '../../../../contracts/wire/names.js';
import { ApiError } from '../../../errors/api-error.js';
import { PROBLEM_TYPE, problemOf } from '../../../errors/problem.js';
import { requestIdFrom } from '../../../telemetry/correlation.js';

/** The error codes of Node's HTTP parser, with the API's code for each. */
const CODES: Readonly<Record<string, { code: ApiErrorCode; message: string }>> = {
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'request_timeout', message: 'The request took too long to arrive' },
  HPE_HEADER_OVERFLOW: { code: 'headers_too_large', message: 'The headers are larger than 16 KiB' },
};
const OTHER = { code: 'invalid_request', message: 'The request is not valid HTTP/1.1' } as const;

/**
 * Answers bytes that Node could not parse as a request with a problem document. Does not log the error: it contains the raw packet, which may
 * include a token.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (!socket.writable) {
    socket.destroy(error);
    return;
  }
  const { code, message } = CODES[error.code ?? ''] ?? OTHER;
  const requestId = requestIdFrom(undefined);
  const problem = problemOf(new ApiError(code, message), requestId);
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
