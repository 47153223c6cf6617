import type { FastifyRequest } from 'fastify';
import type { OperationName } from '../../../contracts/api/operations.js';
import type { ApiErrorCode } from '../../../contracts/wire/errors.js';
import type { Scope } from '../../../contracts/access/tokens.js';
import { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whom the request comes from; undefined only on open routes. */
    principal: Principal | undefined;
    /** All fields of the request, once they are validated. */
    asked: Readonly<Record<string, unknown>> | undefined;
    /** The answer, for the audit. */
    answered: unknown;
    /** The code of the problem that it was answered with. */
    problem: ApiErrorCode | undefined;
  }
  interface FastifyContextConfig {
    /** What the token must be allowed; every route that is not open has one. */
    scope?: Scope | undefined;
    /** What it says may be known to every token. */
    anyScope?: boolean;
    /** Whether a ticket lets in here, in the place of a token. */
    takesTicket?: boolean;
    /** The operation that the route serves. */
    operation?: OperationName;
  }
}

/** Who asks. @throws {ApiError} unauthorized */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === undefined) throw new ApiError('unauthorized', 'The request names nobody');
  return request.principal;
}
