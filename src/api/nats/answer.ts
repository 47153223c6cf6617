import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { API_ERRORS } from '../../../contracts/wire/errors.js';
import { REQUEST_ID_HEADER } from '../../../contracts/wire/names.js';
import { textOf } from '../../json.js';
import { ApiError } from '../../errors/api-error.js';
import { problemOf } from '../../errors/problem.js';
import { requestIdFrom } from '../../telemetry/correlation.js';

type Asked = Pick<Msg, 'data' | 'subject' | 'headers'> & {
  respond(data: string, options?: { headers: MsgHdrs }): unknown;
};

/** What a NATS request asks; no body is a request without fields. @throws {ApiError} invalid_json */
export function requestIn(message: Asked): unknown {
  if (message.data.length === 0) return {};
  const text = textOf(message.data);
  if (text === undefined) throw new ApiError('invalid_json', 'The request is not valid UTF-8');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new ApiError('invalid_json', 'The request is not JSON', { cause });
  }
}

/** A header of a request. Absent and empty are the same. */
export const headerIn = ({ headers: given }: Pick<Msg, 'headers'>, name: string): string | undefined =>
  given?.get(name) || undefined;

/** The caller's id for its request, or a new one. */
export const requestIdIn = (message: Pick<Msg, 'headers'>): string =>
  requestIdFrom(headerIn(message, REQUEST_ID_HEADER));

/** Never throws. @param requestId goes into the answer's header. */
export function respond(message: Asked, body: string, requestId: string, log: Logger, reply = headers()): void {
  reply.set(REQUEST_ID_HEADER, requestId);
  try {
    message.respond(body, { headers: reply });
  } catch (error) {
    // The connection is closing, or the answer is larger than a message may be.
    log.warn(
      { err: error, subject: message.subject, request_id: requestId },
      'a NATS request was left without an answer',
    );
  }
}

/** With the service protocol's headers, and the problem document that HTTP gives. Never throws. */
export function refuse(message: Asked, error: ApiError, requestId: string, log: Logger): void {
  const reply = headers();
  reply.set('Nats-Service-Error', API_ERRORS[error.code].title);
  reply.set('Nats-Service-Error-Code', String(error.status));
  if (error.retryAfter !== undefined) reply.set('Retry-After', String(error.retryAfter));
  respond(message, JSON.stringify(problemOf(error, requestId)), requestId, log, reply);
}
