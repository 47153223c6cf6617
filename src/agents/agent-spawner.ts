import { v4 as uuidv4 } from 'uuid';
import { AgentOptions } from '../../contracts/agents/agents.js';
import type {
  AgentSpawned,
  AgentSpawnRequest,
  TaskRouted,
  TaskRouteRequest,
} from '../../contracts/agents/agent-spawn.js';
import { check } from '../../contracts/wire/check.js';
import type { CompositionChoice, PromptContext } from '../../contracts/prompts/compositions.js';
import type { MessageAccepted } from '../../contracts/agents/messages.js';
import type { ProfileView } from '../../contracts/agents/profiles.js';
import { invalid } from '../errors/api-error.js';
import type { Principal } from '../access/principal.js';
import type { Profiles } from './profiles.js';
import type { Prompts } from '../prompts/service.js';
import type { Agents } from './agents.js';
import {
  assignment,
  mergeProfile,
  contextFor,
  legacyVariables,
  newAgentId,
  taskVariables,
  variablesOf,
  withPrompt,
} from './merge-profile.js';
import { defined } from '../defined.js';

export interface AgentSpawnerOptions {
  readonly agents: Pick<Agents, 'register' | 'send' | 'one'>;
  readonly profiles: Pick<Profiles, 'get'>;
  readonly prompts: Pick<Prompts, 'get' | 'compose' | 'select'>;
}

/** The composition that was selected or requested. */
type Chosen = Pick<CompositionChoice, 'composition' | 'fallback'> & { readonly score?: number };

/** Creates agents from profiles and compositions, and routes tasks to existing agents. */
export class AgentSpawner {
  readonly #options: AgentSpawnerOptions;

  constructor(options: AgentSpawnerOptions) {
    this.#options = options;
  }

  /**
   * Registers the agent, then sends it its task. If the second step fails, the agent exists without a task.
   * @throws {ApiError} not_found, context_missing, composition_invalid, and the errors of registering and sending
   */
  async spawn(request: AgentSpawnRequest, principal: Principal, uuid = uuidv4()): Promise<AgentSpawned> {
    const { agents, profiles, prompts } = this.#options;
    const profile = request.profile === undefined ? undefined : await profiles.get(request.profile, principal);
    const blended = mergeProfile(request, profile === undefined ? undefined : withRole(profile));
    const agentId =
      request.agent_id ?? newAgentId(request.profile ?? blended.role ?? request.composition ?? 'agent', uuid);
    const variables = variablesOf(agentId, blended, [profile?.variables, request.variables]);
    const defaults = { ...legacyVariables(variables), ...taskVariables(request) };
    const named = { ...blended, composition: profile?.composition };
    const chosen = await this.#choose(request, named, { ...defaults, ...variables });
    const composition = await prompts.get(chosen.composition);
    const { prompt } = await prompts.compose(chosen.composition, {
      context: contextFor(composition, variables, defaults),
    });
    const { session_id: given } = request;
    const registered = await agents.register(
      defined({
        agent_id: agentId,
        kind: profile?.kind ?? 'managed',
        ...blended,
        profile: request.profile,
        options: checked(withPrompt(blended.options, prompt)),
        session_id: given,
      }),
      principal,
    );
    const published = await this.#publish(request, agentId, principal);
    return {
      ...registered,
      status: 'spawned',
      ...chosen,
      ...(published === undefined ? {} : { message_id: published.message_id, since: published.since }),
    };
  }

  /** @throws {ApiError} no_suitable_agent, no_available_agent */
  async route(request: TaskRouteRequest, principal: Principal): Promise<TaskRouted> {
    const { agents } = this.#options;
    const { task, context, required_capabilities: required = [], ...message } = request;
    const content = assignment({ task, context });
    const sent = await agents.send(
      { ...message, type: 'TASK_ASSIGNMENT', content, required_capabilities: required },
      principal,
    );
    const agent = await agents.one(sent.to ?? '', principal);
    return {
      status: 'routed',
      assigned_agent: agent.agent_id,
      agent_role: agent.role,
      match_score: new Set(required.filter((each) => agent.capabilities.includes(each))).size,
      message: content,
      message_id: sent.message_id,
      since: sent.since,
    };
  }

  async #choose(
    request: AgentSpawnRequest,
    agent: { role?: string; capabilities?: string[]; composition: string | undefined },
    variables: PromptContext,
  ): Promise<Chosen> {
    const named = request.composition ?? agent.composition;
    if (named !== undefined) return { composition: named, fallback: false };
    const { role, capabilities } = agent;
    const { composition, score, fallback } = await this.#options.prompts.select(
      defined({
        role,
        capabilities,
        task: request.task,
      }),
      variables,
    );
    return { composition, score, fallback };
  }

  async #publish(request: AgentSpawnRequest, to: string, principal: Principal): Promise<MessageAccepted | undefined> {
    const { task, context, conversation_id, message_id } = request;
    if (task === undefined) return undefined;
    return this.#options.agents.send(
      defined({
        type: 'TASK_ASSIGNMENT',
        to,
        content: assignment({ task, context }),
        conversation_id,
        message_id,
      }),
      principal,
    );
  }
}

/** A profile without a role gives its name as the role. */
const withRole = (profile: ProfileView): ProfileView => ({
  ...profile,
  role: profile.role ?? profile.name.slice(0, 64),
});

/** The composed prompt may exceed the limits of a task's options. @throws {ApiError} */
function checked(options: AgentOptions): AgentOptions {
  const result = check(AgentOptions, options);
  if (result.ok) return result.value;
  throw invalid(result.faults.map(({ field, message }) => ({ field: `options.${field}`, message })));
}
