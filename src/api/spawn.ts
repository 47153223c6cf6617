import type { SpawnAccepted } from '../../contracts/http.js';
import type { SpawnRequest } from '../../contracts/spawn.js';
import type { ApiContext } from './context.js';
import type { Principal } from './principal.js';
import { toApiError } from './problems.js';

/** A spawn, from HTTP and NATS alike: taken in, and counted by how it is answered. @throws {ApiError} */
export async function spawn(
  { acceptor, metrics }: Pick<ApiContext, 'acceptor' | 'metrics'>,
  request: SpawnRequest,
  principal: Principal,
  traceparent?: string,
): Promise<SpawnAccepted> {
  try {
    const accepted = await acceptor.accept(request, principal, traceparent);
    metrics.spawns.inc({ result: 'accepted' });
    return accepted;
  } catch (error) {
    const refused = toApiError(error);
    metrics.spawns.inc({ result: refused.code });
    throw refused;
  }
}
