import type { Agent } from '../../contracts/agents/agents.js';

/** Which agent a task goes to (docs/design/legacy-protocol.md#route_task). `score`: how many of the capabilities it has. */
export type Route =
  | { readonly kind: 'routed'; readonly agent: Agent; readonly score: number }
  | { readonly kind: 'no_suitable_agent' }
  | { readonly kind: 'no_available_agent'; readonly suitable: readonly string[] };

/**
 * Pure. An agent suits when it has any of the capabilities, or none is required; the best has the most and is there. Of equals the
 * first by its id.
 * @param available whether it takes a task now: it is active and managed, or its client is connected.
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
