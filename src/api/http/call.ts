import type { FastifyReply, FastifyRequest } from 'fastify';
import { uuidv7 } from '../../uuid.js';
import { HEADER, IDEMPOTENCY_HEADER } from '../../../contracts/wire/names.js';
import type { Call } from '../../access/handlers.js';
import type { Principal } from '../../access/principal.js';
import { traceparentFrom } from '../../telemetry/correlation.js';
import { principalOf } from './request-principal.js';

export class HttpCall implements Call {
  readonly maxBytes = undefined;
  id = uuidv7();
  replayed = false;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  #closed: AbortController | undefined;

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

  get traceparent(): string | undefined {
    return traceparentFrom(this.#header(HEADER.traceparent));
  }

  get signal(): AbortSignal {
    if (this.#closed === undefined) {
      const closed = new AbortController();
      this.#reply.raw.once('close', () => closed.abort());
      this.#closed = closed;
    }
    return this.#closed.signal;
  }

  #header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return typeof value === 'string' ? value : undefined;
  }
}
