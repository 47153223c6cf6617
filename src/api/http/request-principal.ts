import type { FastifyRequest } from 'fastify';
import type { OperationName } from '../../../contracts/api/operations.js';
import type { ApiErrorCode } from '../../../contracts/wire/errors.js';
import type { Scope } from '../../../contracts/access/tokens.js';
import { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The token's principal. Undefined without a valid token, which only open routes accept. */
    principal: Principal | undefined;
    /** The validated fields of the request. Undefined if it was refused before the validation. */
    fields: Readonly<Record<string, unknown>> | undefined;
    /** The answer, for the audit. */
    answer: unknown;
    /** The error code of the answer. Undefined if the request succeeded. */
    errorCode: ApiErrorCode | undefined;
  }
  interface FastifyContextConfig {
    /** The scope that the token needs. Every route needs this or `anyScope`, unless it is open. */
    scope?: Scope | undefined;
    /** Whether any valid token is enough. */
    anyScope?: boolean;
    /** The kind of connection for which a ticket can replace the token: browsers cannot set headers on either. */
    takesTicket?: 'websocket' | 'event_stream' | undefined;
    /** The operation that the route serves. */
    operation?: OperationName;
  }
}

/** Returns the principal of a request. @throws {ApiError} unauthorized */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === undefined) throw new ApiError('unauthorized', 'The request has no valid bearer token');
  return request.principal;
}

/** Whether the client wants server-sent events. */
export const acceptsEventStream = ({ headers }: FastifyRequest): boolean =>
  headers.accept?.includes('text/event-stream') === true;
