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
import { Callers } from '../../agents/tools/caller.js';
import { AgentToolCalls, type AgentToolCallsOptions, type Spawned } from '../../agents/tools/calls.js';
import { AgentToolHandler } from './agent-tools.js';

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

/** What answers agent tools, ready to start. */
export function agentToolHandler(services: AgentToolServices): AgentToolHandler {
  const { broker, blobs, agents, shared, tasks, exchanges, authenticator, audit, budget, log, closing } = services;
  const spawn: AgentToolCallsOptions['spawn'] = (...asked) => spawnByHands(services, ...asked);
  return new AgentToolHandler({
    broker,
    budget,
    callers: new Callers({ broker, blobs, registry: agents.registry, authenticator }),
    toolCalls: new AgentToolCalls({ agents, shared, tasks, exchanges, authenticator, spawn, closing }),
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
    const { accepted, replayed } = await once.acceptForToolCall(request, principal, { key, ofAgent });
    metrics.spawns.inc({ result: replayed ? 'replayed' : 'accepted' });
    return accepted;
  } catch (thrown) {
    const error = apiErrorOf(thrown);
    metrics.spawns.inc({ result: error.code });
    throw error;
  }
}
