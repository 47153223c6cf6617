import type { AgentOptions, AgentRegistration } from '../../contracts/agents/agents.js';
import type { AgentSpawnRequest } from '../../contracts/agents/agent-spawn.js';
import type { Composition, PromptContext } from '../../contracts/prompts/compositions.js';
import type { Profile } from '../../contracts/agents/profiles.js';

type Blended = Pick<AgentRegistration, 'role' | 'capabilities' | 'subscriptions' | 'options' | 'hands'>;

/** Pure: what an agent is, said by a request, and else by its profile. Options are taken one by one. */
export function blend(request: Blended, profile: Profile | undefined): Blended {
  const role = request.role ?? profile?.role;
  const capabilities = request.capabilities ?? profile?.capabilities;
  const subscriptions = request.subscriptions ?? profile?.subscriptions;
  const hands = request.hands ?? profile?.hands;
  const options = { ...profile?.options, ...request.options };
  return {
    ...(role === undefined ? {} : { role }),
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(subscriptions === undefined ? {} : { subscriptions }),
    ...(hands === undefined ? {} : { hands }),
    ...(Object.keys(options).length === 0 ? {} : { options }),
  };
}

/** Pure: what every composition may use of an agent; what is empty is left out. What the request says wins over the profile. */
export function variablesOf(
  agentId: string,
  { role, capabilities = [], options = {}, hands = [] }: Blended,
  said: readonly (PromptContext | undefined)[],
): PromptContext {
  return {
    ...(role === undefined ? {} : { role, agent_role: role }),
    ...(capabilities.length === 0 ? {} : { capabilities, capabilities_text: capabilities.join(', ') }),
    ...(hands.length === 0 ? {} : { hands }),
    enable_tools: (options.allowed_tools ?? []).length > 0,
    ...said.reduce((all, each) => ({ ...all, ...each }), {}),
    agent_id: agentId,
  };
}

/**
 * Pure: what of a task there is for compositions that demand it. To others it is no part of what the agent is: it comes as a
 * message.
 */
export const taskVariables = ({ task, context }: Pick<AgentSpawnRequest, 'task' | 'context'>): PromptContext => ({
  ...(task === undefined ? {} : { task, task_description: task, user_prompt: task }),
  context: context ?? '',
});

/** Pure: what a composition gets. */
export const contextFor = (
  { required_context: required }: Pick<Composition, 'required_context'>,
  agent: PromptContext,
  task: PromptContext,
): PromptContext => ({
  ...Object.fromEntries(Object.entries(task).filter(([key]) => Object.hasOwn(required, key))),
  ...agent,
});

/** Pure: options with a prompt before what they add to Claude's own. */
export const withPrompt = (options: AgentOptions | undefined, prompt: string): AgentOptions => ({
  ...options,
  append_system_prompt: [prompt, options?.append_system_prompt].filter((part) => (part ?? '') !== '').join('\n\n'),
});

/** Pure: `reviewer_1a2b3c4d`, of characters that an agent's id may have. */
export const newAgentId = (from: string, random: string): string =>
  `${from.replaceAll(/[^A-Za-z0-9_-]+/g, '_').slice(0, 55)}_${random.slice(0, 8)}`;

/** Pure: what an agent is told of a task. */
export const assignment = ({ task, context = '' }: { task: string; context?: string | undefined }): string =>
  `TASK_ASSIGNMENT: ${task}${context === '' ? '' : `\nCONTEXT: ${context}`}`;
