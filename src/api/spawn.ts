import type { SpawnRequest } from '../../contracts/spawn.js';
import type { AcceptedOnce } from './accept/once.js';
import type { ApiContext } from './context.js';
import type { Principal } from './principal.js';
import { toApiError } from './problems.js';

/** What comes beside the request itself. */
export interface SpawnHeaders {
  readonly idempotencyKey: string | undefined;
  readonly traceparent: string | undefined;
}

/** A spawn, from HTTP and NATS alike: taken in, and counted by how it is answered. @throws {ApiError} */
export async function spawn(
  { acceptor, once, metrics }: Pick<ApiContext, 'acceptor' | 'once' | 'metrics'>,
  request: SpawnRequest,
  principal: Principal,
  { idempotencyKey: key, traceparent }: SpawnHeaders,
): Promise<AcceptedOnce> {
  try {
    const answer =
      key === undefined
        ? { accepted: await acceptor.accept(request, principal, traceparent), replayed: false }
        : await once.accept(request, principal, key, traceparent);
    metrics.spawns.inc({ result: answer.replayed ? 'replayed' : 'accepted' });
    return answer;
  } catch (error) {
    const refused = toApiError(error);
    metrics.spawns.inc({ result: refused.code });
    throw refused;
  }
}
