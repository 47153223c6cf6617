import type { AnswerIn, Operations, RequestIn } from '../../contracts/wire/operation.js';
import type { Principal } from './principal.js';

/** What comes with a request, whatever the transport. */
export interface Call {
  /** @throws {ApiError} unauthorized, when the operation is open and the request names nobody */
  readonly principal: Principal;
  readonly idempotencyKey: string | undefined;
  /** W3C Trace Context. */
  readonly traceparent: string | undefined;
  /** The size in bytes that the answer may have; undefined: any. */
  readonly maxBytes: number | undefined;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** What each operation does. */
export type Handlers<O extends Operations> = {
  readonly [N in keyof O]: (request: RequestIn<O[N]>, call: Call) => Promise<AnswerIn<O[N]>> | AnswerIn<O[N]>;
};
