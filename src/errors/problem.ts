import type { FastifyError } from 'fastify';
import { API_ERRORS, type ApiErrorCode } from '../../contracts/wire/errors.js';
import type { Problem } from '../../contracts/wire/problem.js';
import { ApiError, apiErrorOf } from './api-error.js';
import { defined } from '../defined.js';

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** The problem document (RFC 9457) of an error: what happened, and what to do next. */
export function problemOf(error: ApiError, requestId?: string): Problem {
  const { title, status, next } = API_ERRORS[error.code];
  return defined({
    type: `urn:ksi:error:${error.code}`,
    title,
    status,
    code: error.code,
    detail: `${error.message.replace(/[.\s]*$/, '')}. ${next}`,
    request_id: requestId,
    ...(error.faults.length === 0 ? {} : { errors: [...error.faults] }),
  });
}

/** KSI's codes for those errors of Fastify that a client can cause. */
const FASTIFY_CODES: Readonly<Record<string, ApiErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_BAD_URL: 'invalid_request',
  FST_ERR_ASYNC_CONSTRAINT: 'invalid_request',
};

/** Turns anything thrown into an ApiError. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { code, message, statusCode } = error as Partial<FastifyError>;
  const known = code === undefined ? undefined : FASTIFY_CODES[code];
  if (known !== undefined) return new ApiError(known, message ?? '', { cause: error });
  // The JSON parser throws SyntaxErrors. Fastify has more refusals than the table.
  if (error instanceof SyntaxError) return new ApiError('invalid_json', message ?? '', { cause: error });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new ApiError('invalid_request', message ?? '', { cause: error });
  return apiErrorOf(error);
}
