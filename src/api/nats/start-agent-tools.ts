import { apiErrorOf } from '../../errors/api-error.js';
import type { Logger } from 'pino';
import type { Access } from '../../access/start.js';
import type { AgentsService } from '../../agents/start.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import type { Tasks } from '../../tasks/start.js';
import type { Metrics } from '../../telemetry/metrics.js';
import { Callers } from '../../agents/tools/caller.js';
import { AgentToolCalls, type AgentToolCallsOptions } from '../../agents/tools/calls.js';
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

/** Builds the handler of agent tool calls. The caller starts it. */
export function agentToolHandler(services: AgentToolServices): AgentToolHandler {
  const { broker, blobs, agents, shared, tasks, exchanges, authenticator, audit, budget, log, closing } = services;
  return new AgentToolHandler({
    broker,
    budget,
    callers: new Callers({ broker, blobs, registry: agents.registry, authenticator }),
    toolCalls: new AgentToolCalls({
      agents,
      shared,
      tasks,
      exchanges,
      authenticator,
      spawn: spawnForToolCall(services),
      closing,
    }),
    audit,
    log,
  });
}

/** Accepts a spawn like any other. It counts against the rate limit of the token that started the agent's task. */
const spawnForToolCall =
  ({
    once,
    spawnRate,
    metrics,
  }: Pick<AgentToolServices, 'once' | 'spawnRate' | 'metrics'>): AgentToolCallsOptions['spawn'] =>
  async (request, principal, key, ofAgent) => {
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
  };
