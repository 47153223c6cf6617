import type { AnswerIn, Operations, RequestIn } from '../../contracts/wire/operation.js';
import type { Principal } from './principal.js';

/** The context of a request, independent of the transport. */
export interface Call {
  /** @throws {ApiError} unauthorized if the operation is open and the request has no valid token */
  readonly principal: Principal;
  readonly idempotencyKey: string | undefined;
  /** Of what the call creates. A repetition with the same idempotency key has the same id. */
  id: string;
  /** The answer is that of an earlier request with the same idempotency key. */
  replayed: boolean;
  /** W3C Trace Context. */
  readonly traceparent: string | undefined;
  /** The maximum size of the answer, in bytes; undefined: any. */
  readonly maxBytes: number | undefined;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/** One function per operation. */
export type Handlers<O extends Operations> = {
  readonly [N in keyof O]: (request: RequestIn<O[N]>, call: Call) => Promise<AnswerIn<O[N]>> | AnswerIn<O[N]>;
};
