import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { API_ERRORS } from '../../../contracts/wire/errors.js';
import { REQUEST_ID_HEADER } from '../../../contracts/wire/names.js';
import { textOf } from '../../json.js';
import { ApiError } from '../../errors/api-error.js';
import { problemOf } from '../../errors/problem.js';
import { requestIdFrom } from '../../telemetry/correlation.js';

type Request = Pick<Msg, 'data' | 'subject' | 'headers'> & {
  respond(data: string | Uint8Array, options?: { headers: MsgHdrs }): unknown;
};

/** Parses the body of a NATS request. An empty body is `{}`. @throws {ApiError} invalid_json */
export function requestIn(message: Request): unknown {
  if (message.data.length === 0) return {};
  const text = textOf(message.data);
  if (text === undefined) throw new ApiError('invalid_json', 'The request is not valid UTF-8');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new ApiError('invalid_json', 'The request is not JSON', { cause });
  }
}

/** A header of a request. Undefined if the header is absent or empty. */
export const headerIn = ({ headers: received }: Pick<Msg, 'headers'>, name: string): string | undefined =>
  received?.get(name) || undefined;

/** The request id that the caller sent, or a new one. */
export const requestIdIn = (message: Pick<Msg, 'headers'>): string =>
  requestIdFrom(headerIn(message, REQUEST_ID_HEADER));

/** Sends an answer with its request id as a header. Never throws. */
export function respond(
  message: Request,
  body: string | Uint8Array,
  requestId: string,
  log: Logger,
  reply = headers(),
): void {
  reply.set(REQUEST_ID_HEADER, requestId);
  try {
    message.respond(body, { headers: reply });
  } catch (error) {
    // The connection is closing, or the answer is larger than a NATS message may be.
    log.warn({ err: error, subject: message.subject, request_id: requestId }, 'could not answer a NATS request');
  }
}

/** Answers with the error headers of the NATS service protocol and the same problem document as HTTP. Never throws. */
export function refuse(message: Request, error: ApiError, requestId: string, log: Logger): void {
  const reply = headers();
  reply.set('Nats-Service-Error', API_ERRORS[error.code].title);
  reply.set('Nats-Service-Error-Code', String(error.status));
  if (error.retryAfter !== undefined) reply.set('Retry-After', String(error.retryAfter));
  respond(message, JSON.stringify(problemOf(error, requestId)), requestId, log, reply);
}
