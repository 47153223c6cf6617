import type { SpawnRequest, SpawnAccepted } from '../../../contracts/tasks/spawn.js';
import { apiErrorOf } from '../../errors/api-error.js';
import type { ApiContext } from '../context.js';
import type { Principal } from '../../access/principal.js';
import { Askers } from '../../agents/tools/asker.js';
import { Deeds, type DeedsOptions, type Spawned } from '../../agents/tools/deeds.js';
import { HandsDesk, type HandsDeskOptions } from './agent-tools.js';

/** What answers agents' own hands, ready to start. */
export function handsDesk(context: ApiContext, budget: HandsDeskOptions['budget']): HandsDesk {
  const { broker, blobs, agents, shared, tasks, exchanges, authenticator, audit, log, closing } = context;
  const spawn: DeedsOptions['spawn'] = (...asked) => spawnByHands(context, ...asked);
  return new HandsDesk({
    broker,
    budget,
    askers: new Askers({ broker, blobs, registry: agents.registry, authenticator }),
    deeds: new Deeds({ agents, shared, tasks, exchanges, authenticator, spawn, closing }),
    audit,
    log,
  });
}

/** Taken in as any other spawn, at the expense of the token that the agent's task began with. */
async function spawnByHands(
  { once, spawnRate, metrics }: Pick<ApiContext, 'once' | 'spawnRate' | 'metrics'>,
  request: SpawnRequest,
  principal: Principal,
  key: string,
  ofAgent: Spawned,
): Promise<SpawnAccepted> {
  try {
    spawnRate.take(principal);
    const { accepted, replayed } = await once.byHands(request, principal, { key, ofAgent });
    metrics.spawns.inc({ result: replayed ? 'replayed' : 'accepted' });
    return accepted;
  } catch (thrown) {
    const error = apiErrorOf(thrown);
    metrics.spawns.inc({ result: error.code });
    throw error;
  }
}
