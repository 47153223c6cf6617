import type { AgentOptions, AgentRegistration } from '../../contracts/agents/agents.js';
import type { AgentSpawnRequest } from '../../contracts/agents/agent-spawn.js';
import type { Composition, PromptContext } from '../../contracts/prompts/compositions.js';
import type { Profile } from '../../contracts/agents/profiles.js';
import { defined } from '../defined.js';
import { DEFAULT_ROLE } from '../prompts/identity-defaults.js';

type Blended = Pick<AgentRegistration, 'role' | 'capabilities' | 'subscriptions' | 'options' | 'agent_tools'>;

/** Pure: fields of the request win over fields of the profile. Options are merged one by one. */
export function mergeProfile(request: Blended, profile: Profile | undefined): Blended {
  const role = request.role ?? profile?.role;
  const capabilities = request.capabilities ?? profile?.capabilities;
  const subscriptions = request.subscriptions ?? profile?.subscriptions;
  const agent_tools = request.agent_tools ?? profile?.agent_tools;
  const options = { ...profile?.options, ...request.options };
  return defined({
    role,
    capabilities,
    subscriptions,
    agent_tools,
    ...(Object.keys(options).length === 0 ? {} : { options }),
  });
}

/** Pure: the variables of an agent for compositions. Empty ones are left out. @param contexts the later of these win. */
export function variablesOf(
  agentId: string,
  { role, capabilities = [], options = {}, agent_tools = [] }: Blended,
  contexts: readonly (PromptContext | undefined)[],
): PromptContext {
  return {
    ...(role === undefined ? {} : { role, agent_role: role }),
    ...(capabilities.length === 0 ? {} : { capabilities, capabilities_text: capabilities.join(', ') }),
    ...(agent_tools.length === 0 ? {} : { agent_tools }),
    enable_tools: (options.allowed_tools ?? []).length > 0,
    ...contexts.reduce((all, each) => ({ ...all, ...each }), {}),
    agent_id: agentId,
  };
}

/**
 * Pure: the variables of a task, for compositions that require them. Other compositions describe the agent only; the agent gets the task
 * as a message.
 */
export const taskVariables = ({ task, context }: Pick<AgentSpawnRequest, 'task' | 'context'>): PromptContext => ({
  ...(task === undefined ? {} : { task, task_description: task, user_prompt: task }),
  context: context ?? '',
});

/**
 * Pure: the variables that the old daemon supplied itself, for compositions written for it. KSI sends an agent its messages, so the prompt has
 * no history and no commands.
 */
export const legacyVariables = ({ agent_number = 1 }: PromptContext): PromptContext => ({
  agent_role: DEFAULT_ROLE,
  participant_number: agent_number,
  daemon_commands: 'none: KSI delivers the messages',
  conversation_history: '',
  user_prompt: '',
});

/** Pure: the context in which to render a composition. @param defaults only those that the composition requires are used */
export const contextFor = (
  { required_context: required }: Pick<Composition, 'required_context'>,
  agent: PromptContext,
  defaults: PromptContext,
): PromptContext => ({
  ...Object.fromEntries(Object.entries(defaults).filter(([key]) => Object.hasOwn(required, key))),
  ...agent,
});

/** Pure: prepends a prompt to `append_system_prompt`. */
export const withPrompt = (options: AgentOptions | undefined, prompt: string): AgentOptions => ({
  ...options,
  append_system_prompt: [prompt, options?.append_system_prompt].filter((part) => (part ?? '') !== '').join('\n\n'),
});

/** Pure: for example `reviewer_1a2b3c4d`. Replaces characters that an agent id must not have. */
export const newAgentId = (from: string, random: string): string =>
  `${from.replaceAll(/[^A-Za-z0-9_-]+/g, '_').slice(0, 55)}_${random.slice(0, 8)}`;

/** Pure: the text of a message that assigns a task. */
export const assignment = ({ task, context = '' }: { task: string; context?: string | undefined }): string =>
  `TASK_ASSIGNMENT: ${task}${context === '' ? '' : `\nCONTEXT: ${context}`}`;
