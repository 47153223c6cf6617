import type { AgentSpawned, AgentSpawnRequest } from '../../../contracts/agents/agent-spawn.js';
import type { AgentView } from '../../../contracts/agents/agents.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { KsiApi } from '../../client/api.js';
import { KsiError } from '../../client/errors.js';
import { isEvent } from '../../client/event-message.js';
import { defined } from '../../defined.js';
import { ksiAgentId, legacyAgentId } from '../agent-ids.js';
import { LegacyError, plainMessage, unlessMissing } from '../errors.js';
import { isRecord, parseText } from '../../json.js';
import type { PromptContext } from '../../../contracts/prompts/compositions.js';
import { ProfileError } from '../../prompts/profile-file.js';
import { DEFAULT_ROLE } from '../../prompts/identity-defaults.js';
import { CLIENT_ROLE } from '../agent-directory.js';
import { fitting } from './fitting.js';
import { isProfileName } from '../mirrored-files.js';
import { given, type BridgeContext, type Handler } from './handler.js';

export const registerAgent: Handler<'REGISTER_AGENT'> = async ({ agent_id, role, capabilities = [] }, { ksi }) => {
  const id = ksiAgentId(agent_id, 'parameters.agent_id');
  await ksi.call('agent_register', { agent_id: id, role, capabilities });
  return { result: { status: 'registered', agent_id } };
};

export const getAgents: Handler<'GET_AGENTS'> = async (_parameters, { directory }) => {
  const agents: AgentView[] = [];
  // The old daemon did not list agents that had only been connected or written.
  for await (const agent of directory.all()) if (agent.connected || agent.role !== CLIENT_ROLE) agents.push(agent);
  agents.sort(
    (a, b) => Number(isReachable(b)) - Number(isReachable(a)) || Date.parse(b.created_at) - Date.parse(a.created_at),
  );
  const { shown, ...omitted } = fitting(agents.map((agent) => [legacyAgentId(agent.agent_id), toListing(agent)]));
  return { result: { agents: shown, ...omitted } };
};

const toListing = ({ role, capabilities, status, created_at, session_id, connected, kind, profile }: AgentView) =>
  defined({
    role: role === CLIENT_ROLE ? DEFAULT_ROLE : role,
    capabilities,
    status,
    created_at,
    sessions: session_id === undefined ? [] : [session_id],
    connected,
    kind,
    profile,
  });

/** Spawns a managed agent. Its process id is the id of the task that its first message becomes. */
export const spawnAgent: Handler<'SPAWN_AGENT'> = async (parameters, bridge) => {
  const { client, ksi, spawned, log } = bridge;
  const { profile_name: name, task, context, agent_id, role, capabilities } = parameters;
  const id = given(agent_id);
  let agent;
  try {
    const profile = await profileOf(name, bridge);
    agent = await ksi.call('agent_spawn', {
      ...profile,
      task,
      variables: { ...profile.variables, ...variablesOf(task, context) },
      ...defined({
        context: given(context),
        agent_id: id === undefined ? undefined : ksiAgentId(id, 'parameters.agent_id'),
        role: given(role),
        capabilities,
      }),
    });
  } catch (error) {
    if (error instanceof KsiError || error instanceof ProfileError)
      throw new LegacyError('SPAWN_AGENT_FAILED', `${name}: ${plainMessage(error)}`, error);
    throw error;
  }
  const process_id = (await firstTask(client, agent)) ?? agent.message_id ?? agent.agent_id;
  spawned.set(agent.agent_id, process_id);
  log.info({ agent_id: agent.agent_id, process_id }, 'spawned an agent');
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

/** The fields of a profile that a client wrote; KSI's own profile of that name; or, if there is none, only a role that a composition may fit. */
async function profileOf(name: string, { changedProfile, ksi }: BridgeContext): Promise<AgentSpawnRequest> {
  const role = name.slice(0, MAX_ROLE_CHARS);
  if (!isProfileName(name)) return { role };
  const written = await changedProfile(name);
  if (written === undefined)
    return (await unlessMissing(ksi.call('profile', { name }))) === undefined ? { role } : { profile: name };
  const { description: _description, kind: _kind, ...fields } = written;
  return { role, ...fields };
}

const MAX_ROLE_CHARS = 64;
const MAX_KEY_CHARS = 128;

/** The variables of the agent's composition. Orchestrators send theirs as a JSON object in `context`. */
function variablesOf(task: string, context: string | undefined): PromptContext {
  const sent = parseText(context ?? '');
  const named = Object.entries(isRecord(sent) ? sent : {}).filter(
    ([key]) => key.length > 0 && key.length <= MAX_KEY_CHARS,
  );
  const variables: PromptContext = { topic: task.trim().split('\n', 1)[0], ...Object.fromEntries(named) };
  const { participant_number: agent_number } = variables;
  return agent_number === undefined ? variables : { agent_number, ...variables };
}

/** A message normally becomes a task at once. After this time, the message's id serves as process id. */
const TASK_TIMEOUT_MS = 5_000;

async function firstTask(
  client: KsiApi,
  { agent_id: id, message_id, since }: AgentSpawned,
): Promise<string | undefined> {
  if (message_id === undefined) return undefined;
  const signal = AbortSignal.timeout(TASK_TIMEOUT_MS);
  const subjects = [SUBJECT.agentEvent(id, 'delivered')];
  try {
    for await (const event of client.events({ subjects, since, signal })) {
      if (!isEvent(event)) continue;
      const { message_ids: ids, task_id: task } = event.data;
      if (Array.isArray(ids) && ids.includes(message_id)) return typeof task === 'string' ? task : undefined;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return undefined;
}

/**
 * Like in the old daemon, ROUTE_TASK only chooses an agent, and the client sends the task itself. An agent is suitable if it has one of the
 * capabilities. The agent with the most wins; among equals, a connected or managed one.
 */
export const routeTask: Handler<'ROUTE_TASK'> = async (
  { task, required_capabilities: required = [], context },
  { directory },
) => {
  const suitable = [];
  for await (const agent of directory.all()) {
    const match_score = new Set(required.filter((capability) => agent.capabilities.includes(capability))).size;
    if (match_score > 0) suitable.push({ agent, match_score });
  }
  if (suitable.length === 0)
    return {
      result: {
        status: 'no_suitable_agent',
        required_capabilities: required,
        suggestion: 'Spawn or register an agent with one of these capabilities',
      },
    };
  suitable.sort((a, b) => b.match_score - a.match_score || Number(isReachable(b.agent)) - Number(isReachable(a.agent)));
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
  const text = given(context);
  return {
    result: {
      status: 'routed',
      assigned_agent: legacyAgentId(best.agent.agent_id),
      agent_role: best.agent.role,
      match_score: best.match_score,
      message: `TASK_ASSIGNMENT: ${task}${text === undefined ? '' : `\nCONTEXT: ${text}`}`,
    },
  };
};

const isReachable = ({ connected, kind }: AgentView): boolean => connected || kind === 'managed';
