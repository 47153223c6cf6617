import type { FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import type { Principal } from './principal.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whom the request comes from; undefined only on open routes. */
    principal: Principal | undefined;
  }
}

/** Who asks. @throws {ApiError} unauthorized */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === undefined) throw new ApiError('unauthorized', 'The request names nobody');
  return request.principal;
}
