import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { API_ERRORS } from '../../../contracts/wire/errors.js';
import { textOf } from '../../json.js';
import { ApiError } from '../../errors/api-error.js';
import { problemOf } from '../../errors/problem.js';

type Asked = Pick<Msg, 'data' | 'subject'> & {
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

/** Never throws. */
export function respond(message: Asked, body: string, log: Logger, reply?: MsgHdrs): void {
  try {
    message.respond(body, ...(reply === undefined ? [] : [{ headers: reply }]));
  } catch (error) {
    // The connection is closing, or the answer is larger than a message may be.
    log.warn({ err: error, subject: message.subject }, 'a NATS request was left without an answer');
  }
}

/** With the service protocol's headers, and the problem document that HTTP gives. Never throws. */
export function refuse(message: Asked, error: ApiError, log: Logger): void {
  const reply = headers();
  reply.set('Nats-Service-Error', API_ERRORS[error.code].title);
  reply.set('Nats-Service-Error-Code', String(error.status));
  if (error.retryAfter !== undefined) reply.set('Retry-After', String(error.retryAfter));
  respond(message, JSON.stringify(problemOf(error)), log, reply);
}
