import type { Agent } from '../../contracts/agents/agents.js';

/** The agent for a task (docs/design/legacy-protocol.md#route_task). `score`: how many of the required capabilities it has. */
export type Route =
  | { readonly kind: 'routed'; readonly agent: Agent; readonly score: number }
  | { readonly kind: 'no_suitable_agent' }
  | { readonly kind: 'no_available_agent'; readonly suitable: readonly string[] };

/**
 * Pure. An agent is suitable if it has any of the required capabilities, or if none is required. The available agent with the most of
 * them wins; of equals, the one with the lowest id.
 * @param available whether the agent takes a task now: it is active, and managed or connected.
 */
export function routeTask(
  agents: readonly Agent[],
  required: readonly string[],
  available: (agent: Agent) => boolean,
): Route {
  const suitable = agents
    .map((agent) => ({ agent, score: required.filter((each) => agent.capabilities.includes(each)).length }))
    .filter(({ score }) => score > 0 || required.length === 0);
  if (suitable.length === 0) return { kind: 'no_suitable_agent' };
  const [best] = suitable
    .filter(({ agent }) => available(agent))
    .toSorted((a, b) => b.score - a.score || (a.agent.agent_id < b.agent.agent_id ? -1 : 1));
  if (best === undefined) return { kind: 'no_available_agent', suitable: suitable.map(({ agent }) => agent.agent_id) };
  return { kind: 'routed', ...best };
}
