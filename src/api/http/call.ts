import type { FastifyReply, FastifyRequest } from 'fastify';
import { IDEMPOTENCY_HEADER } from '../../../contracts/wire/names.js';
import type { Call } from '../../access/handlers.js';
import type { Principal } from '../../access/principal.js';
import { principalOf } from './request-principal.js';

/** W3C Trace Context. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

export class HttpCall implements Call {
  readonly maxBytes = undefined;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  #gone: AbortController | undefined;

  constructor(request: FastifyRequest, reply: FastifyReply) {
    this.#request = request;
    this.#reply = reply;
  }

  get principal(): Principal {
    return principalOf(this.#request);
  }

  get idempotencyKey(): string | undefined {
    return this.#header(IDEMPOTENCY_HEADER.toLowerCase());
  }

  /** A header in another format is ignored. */
  get traceparent(): string | undefined {
    const value = this.#header('traceparent');
    return value !== undefined && TRACEPARENT.test(value) ? value : undefined;
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      const gone = new AbortController();
      this.#reply.raw.once('close', () => gone.abort());
      this.#gone = gone;
    }
    return this.#gone.signal;
  }

  #header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return typeof value === 'string' ? value : undefined;
  }
}
