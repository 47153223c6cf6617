import type { AnswerOf, RequestOf } from '../../../contracts/api/operation-schemas.js';
import type { OperationName } from '../../../contracts/api/operations.js';
import type { ApiContext } from '../context.js';
import type { Principal } from '../../access/principal.js';

/** What comes with a request. */
export interface Call {
  readonly principal: Principal;
  readonly context: ApiContext;
  readonly idempotencyKey: string | undefined;
}

export type Handlers = {
  readonly [N in OperationName]: (request: RequestOf<N>, call: Call) => Promise<AnswerOf<N>> | AnswerOf<N>;
};
