import type { SpawnRequest, SpawnAccepted } from '../../../contracts/tasks/spawn.js';
import { apiErrorOf } from '../../errors/api-error.js';
import type { Logger } from 'pino';
import type { Access } from '../../access/start.js';
import type { AgentsService } from '../../agents/start.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import type { Tasks } from '../../tasks/start.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { Principal } from '../../access/principal.js';
import { Askers } from '../../agents/tools/asker.js';
import { Deeds, type DeedsOptions, type Spawned } from '../../agents/tools/deeds.js';
import { HandsDesk } from './agent-tools.js';

interface AgentToolServices
  extends
    Pick<AgentsService, 'agents' | 'shared'>,
    Pick<Tasks, 'tasks' | 'once'>,
    Pick<Access, 'exchanges' | 'authenticator' | 'audit' | 'spawnRate' | 'budget'> {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
}

/** What answers agents' own hands, ready to start. */
export function handsDesk(services: AgentToolServices): HandsDesk {
  const { broker, blobs, agents, shared, tasks, exchanges, authenticator, audit, budget, log, closing } = services;
  const spawn: DeedsOptions['spawn'] = (...asked) => spawnByHands(services, ...asked);
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
  { once, spawnRate, metrics }: Pick<AgentToolServices, 'once' | 'spawnRate' | 'metrics'>,
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
