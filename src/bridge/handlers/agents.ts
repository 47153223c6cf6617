import type { AgentShown } from '../../../contracts/agents.js';
import { ksiAgentId, legacyAgentId } from '../agent-ids.js';
import type { Handler } from './handler.js';

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
