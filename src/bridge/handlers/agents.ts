import type { AgentSpawned } from '../../../contracts/agents/agent-spawn.js';
import type { AgentShown } from '../../../contracts/agents/agents.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { KsiApi } from '../../client/api.js';
import { KsiError } from '../../client/errors.js';
import { isEvent } from '../../client/event-message.js';
import { ksiAgentId, legacyAgentId } from '../agent-ids.js';
import { LegacyError } from '../errors.js';
import { given, type Handler } from './handler.js';

export const registerAgent: Handler<'REGISTER_AGENT'> = async ({ agent_id, role, capabilities = [] }, { ksi }) => {
  const id = ksiAgentId(agent_id, 'parameters.agent_id');
  await ksi.call('agent_register', { agent_id: id, role, capabilities });
  return { result: { status: 'registered', agent_id } };
};

export const getAgents: Handler<'GET_AGENTS'> = async (_parameters, { roster }) => {
  const agents: Record<string, object> = {};
  for await (const agent of roster.all()) agents[legacyAgentId(agent.agent_id)] = shown(agent);
  return { result: { agents } };
};

const shown = ({ role, capabilities, status, created_at, session_id, connected, kind, profile }: AgentShown) => ({
  role,
  capabilities,
  status,
  created_at,
  sessions: session_id === undefined ? [] : [session_id],
  connected,
  kind,
  ...(profile === undefined ? {} : { profile }),
});

/** KSI runs the agent; its process is the task that its first message becomes. */
export const spawnAgent: Handler<'SPAWN_AGENT'> = async (parameters, { ksi, client, spawned, log }) => {
  const { profile_name: profile, task, context, agent_id, role, capabilities } = parameters;
  const [id, what, words] = [given(agent_id), given(role), given(context)];
  const request = {
    profile,
    task,
    ...(words === undefined ? {} : { context: words }),
    ...(id === undefined ? {} : { agent_id: ksiAgentId(id, 'parameters.agent_id') }),
    ...(what === undefined ? {} : { role: what }),
    ...(capabilities === undefined ? {} : { capabilities }),
  };
  let agent;
  try {
    agent = await ksi.call('agent_spawn', request);
  } catch (error) {
    if (error instanceof KsiError) throw new LegacyError('SPAWN_AGENT_FAILED', error.message, error);
    throw error;
  }
  const process_id = (await firstTask(client, agent)) ?? agent.message_id ?? agent.agent_id;
  spawned.set(agent.agent_id, process_id);
  log.info({ agent_id: agent.agent_id, process_id }, 'an agent was spawned');
  return {
    result: {
      status: 'spawned',
      process_id,
      agent_id: legacyAgentId(agent.agent_id),
      composition_used: agent.composition,
      fallback_used: agent.fallback,
    },
  };
};

/** A message becomes a task within a moment, unless KSI is in trouble: then the message's id must do. */
const TASK_WITHIN_MS = 5_000;

async function firstTask(
  client: KsiApi,
  { agent_id: id, message_id, since }: AgentSpawned,
): Promise<string | undefined> {
  if (message_id === undefined) return undefined;
  const signal = AbortSignal.timeout(TASK_WITHIN_MS);
  const subjects = [SUBJECT.agentEvent(id, 'delivered')];
  for await (const event of client.events({ subjects, since, signal })) {
    if (!isEvent(event)) continue;
    const { message_ids: ids, task_id: task } = event.data;
    if (Array.isArray(ids) && ids.includes(message_id)) return typeof task === 'string' ? task : undefined;
  }
  return undefined;
}

/**
 * ROUTE_TASK only chooses, as in the old daemon: whoever asks sends the task himself. An agent suits that has one of the capabilities;
 * the best has the most, and among equals one that is there now.
 */
export const routeTask: Handler<'ROUTE_TASK'> = async (
  { task, required_capabilities: required = [], context },
  { roster },
) => {
  const suitable = [];
  for await (const agent of roster.all()) {
    const match_score = new Set(required.filter((capability) => agent.capabilities.includes(capability))).size;
    if (match_score > 0) suitable.push({ agent, match_score });
  }
  if (suitable.length === 0)
    return {
      result: {
        status: 'no_suitable_agent',
        required_capabilities: required,
        suggestion: 'Spawn or register an agent that has one of these capabilities',
      },
    };
  suitable.sort((a, b) => b.match_score - a.match_score || Number(isThere(b.agent)) - Number(isThere(a.agent)));
  const best = suitable.find(({ agent }) => agent.status === 'active');
  if (best === undefined)
    return {
      result: {
        status: 'no_available_agent',
        suitable_agents: suitable.map(({ agent: { agent_id, capabilities, role, status }, match_score }) => ({
          agent_id: legacyAgentId(agent_id),
          capabilities,
          role,
          status,
          match_score,
        })),
        suggestion: 'All suitable agents are paused or have ended',
      },
    };
  const words = given(context);
  return {
    result: {
      status: 'routed',
      assigned_agent: legacyAgentId(best.agent.agent_id),
      agent_role: best.agent.role,
      match_score: best.match_score,
      message: `TASK_ASSIGNMENT: ${task}${words === undefined ? '' : `\nCONTEXT: ${words}`}`,
    },
  };
};

const isThere = ({ connected, kind }: AgentShown): boolean => connected || kind === 'managed';
