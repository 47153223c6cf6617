import type { AnswerOf, RequestOf } from '../../../contracts/operation-schemas.js';
import type { OperationName } from '../../../contracts/operations.js';
import type { ApiContext } from '../context.js';
import type { Principal } from '../principal.js';

/** What comes with a request. */
export interface Call {
  readonly principal: Principal;
  readonly context: ApiContext;
  readonly idempotencyKey: string | undefined;
}

export type Handlers = {
  readonly [N in OperationName]: (request: RequestOf<N>, call: Call) => Promise<AnswerOf<N>> | AnswerOf<N>;
};
