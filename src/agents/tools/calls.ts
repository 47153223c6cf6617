import { ClaudeOptions } from '../../../contracts/tasks/claude-options.js';
import {
  MAX_DEPTH,
  type AgentToolInput,
  type AgentToolTask,
  type AgentToolName,
} from '../../../contracts/agents/tools.js';
import type { Task } from '../../../contracts/tasks/task.js';
import { MAX_HOPS } from '../../../contracts/agents/messages.js';
import type { SpawnCommand, SpawnRequest, SpawnAccepted } from '../../../contracts/tasks/spawn.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import { timerMs } from '../../clock.js';
import { parseRule } from '../../tools/rule.js';
import { requestFault } from '../../tools/limits.js';
import { pickFields } from '../../pick-fields.js';
import type { Agents } from '../agents.js';
import { ApiError, apiErrorOf } from '../../errors/api-error.js';
import { exchangeOf, type Exchanges } from '../../access/exchanges.js';
import type { Authenticator } from '../../access/auth.js';
import type { Principal } from '../../access/principal.js';
import type { SharedState } from '../shared/shared-state.js';
import type { TaskReader } from '../../tasks/reader.js';
import type { Caller } from './caller.js';
import { defined } from '../../defined.js';

/** The fields that a spawned task gets from its parent. */
export type Spawned = Pick<
  SpawnCommand,
  'agent_id' | 'agent_tools' | 'depth' | 'spawned_by' | 'ancestors' | 'hops' | 'exchange_id'
>;

export interface AgentToolCallsOptions {
  readonly agents: Pick<Agents, 'page' | 'send'>;
  readonly shared: Pick<SharedState, 'get' | 'set'>;
  readonly tasks: Pick<TaskReader, 'ended'>;
  readonly exchanges: Pick<Exchanges, 'count' | 'uncount' | 'limit'>;
  readonly authenticator: Pick<Authenticator, 'whileValid'>;
  /** @param key the idempotency key. @throws {ApiError} */
  readonly spawn: (request: SpawnRequest, principal: Principal, key: string, of: Spawned) => Promise<SpawnAccepted>;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
}

export interface ToolCallResult {
  readonly result: unknown;
  /** The resource that was created or changed, for the audit. */
  readonly target?: string | undefined;
}

type ToolCall<N extends AgentToolName> = (
  input: AgentToolInput<N>,
  caller: Caller,
  callId: string,
) => Promise<ToolCallResult>;

/** Executes agents' tool calls, as their owner and with the agent as `from`. */
export class AgentToolCalls {
  readonly #options: AgentToolCallsOptions;
  readonly #toolCalls: { readonly [N in AgentToolName]: ToolCall<N> };

  constructor(options: AgentToolCallsOptions) {
    this.#options = options;
    this.#toolCalls = {
      agents_list: (input, caller) => this.#agents(input, caller),
      message_send: (input, caller, callId) => this.#send(input, caller, callId),
      shared_get: async ({ key }, { principal }) => ({ result: await options.shared.get(key, principal) }),
      shared_set: async ({ key, value, revision }, { agent, principal }) => ({
        result: await options.shared.set(value, { key, revision, by: agent.agent_id }, principal),
        target: key,
      }),
      task_spawn: (input, caller, callId) => this.#spawn(input, caller, callId),
      task_wait: (input, caller) => this.#wait(input, caller),
    };
  }

  /** @param callId makes a repeated call idempotent. @throws {ApiError} */
  async do<N extends AgentToolName>(
    tool: N,
    input: AgentToolInput<N>,
    caller: Caller,
    callId: string,
  ): Promise<ToolCallResult> {
    const exchangeId = exchangeOf(caller.command);
    // A long wait is split into several requests, so it is not counted.
    if (exchangeId === undefined || tool === 'task_wait') return this.#toolCalls[tool](input, caller, callId);
    const { exchanges } = this.#options;
    const { owner } = caller.principal;
    await exchanges.count(owner, exchangeId, 'tool_calls');
    try {
      return await this.#toolCalls[tool](input, caller, callId);
    } catch (error) {
      // The worker retries on its own, and the retry is the same call.
      if (apiErrorOf(error).retryable) await exchanges.uncount(owner, exchangeId, 'tool_calls');
      throw error;
    }
  }

  #agents(input: AgentToolInput<'agents_list'>, { agent, principal }: Caller): Promise<ToolCallResult> {
    const { items } = this.#options.agents.page(input, principal);
    const others = items.filter(({ agent_id: id }) => id !== agent.agent_id);
    return Promise.resolve({
      result: {
        agents: others.map(({ agent_id, kind, role, capabilities, status }) => ({
          agent_id,
          kind,
          role,
          capabilities,
          status,
        })),
      },
    });
  }

  async #send(
    input: AgentToolInput<'message_send'>,
    { agent, command, principal }: Caller,
    callId: string,
  ): Promise<ToolCallResult> {
    const hops = hopsAfter(command);
    const message = { ...input, from: agent.agent_id, message_id: callId };
    const { message_id, status } = await this.#options.agents.send(message, principal, {
      hops,
      exchange_id: exchangeOf(command),
    });
    return { result: { message_id, status }, target: input.to };
  }

  async #spawn(input: AgentToolInput<'task_spawn'>, caller: Caller, callId: string): Promise<ToolCallResult> {
    const { agent, command, principal } = caller;
    const hops = hopsAfter(command);
    const depth = (command.depth ?? 0) + 1;
    if (depth > MAX_DEPTH)
      throw new ApiError('too_deep', `Nested tasks are limited to ${MAX_DEPTH} levels, and this task is at the last`);
    const exchangeId = exchangeOf(command);
    if (exchangeId !== undefined)
      await this.#options.exchanges.limit(principal.owner, exchangeId, agent.exchange_limits);
    const { task_id: taskId, status } = await this.#options.spawn(
      requestOf(input, command),
      principal,
      `agent-tools-${callId}`,
      defined({
        agent_id: agent.agent_id,
        agent_tools: command.agent_tools,
        depth,
        spawned_by: command.task_id,
        ancestors: [...(command.ancestors ?? []), command.task_id],
        hops,
        exchange_id: exchangeId,
      }),
    );
    return { result: { task_id: taskId, status, ended: false } satisfies AgentToolTask, target: taskId };
  }

  async #wait(
    { task_id: id, wait_s: waitS = 0 }: AgentToolInput<'task_wait'>,
    { principal }: Caller,
  ): Promise<ToolCallResult> {
    const { tasks, closing, authenticator } = this.#options;
    const task = await authenticator.whileValid(principal, (valid) =>
      tasks.ended(id, principal, AbortSignal.any([AbortSignal.timeout(timerMs(waitS * 1_000)), closing, valid])),
    );
    return { result: toAgentToolTask(task) };
  }
}

/**
 * The hops of a message or task that a task creates. A message resets the depth, but only a person resets the hops, so no chain of
 * messages and tasks is longer than MAX_HOPS. @throws {ApiError} too_deep
 */
function hopsAfter({ hops, message }: SpawnCommand): number {
  const after = (hops ?? message?.hops ?? 0) + 1;
  if (after > MAX_HOPS)
    throw new ApiError(
      'too_deep',
      `This would be hop ${after} without a message from a person; at most ${MAX_HOPS} are allowed`,
    );
  return after;
}

/** Options that apply to one task only, or that a task must not pass on. */
const NOT_INHERITED = new Set(['system_prompt', 'append_system_prompt', 'output_schema', 'include_deltas']);

/** A nested task has the workspace of its parent and no more tools than it. @throws {ApiError} tool_not_allowed */
function requestOf(
  { prompt, model, allowed_tools: requestedTools }: AgentToolInput<'task_spawn'>,
  command: SpawnCommand,
): SpawnRequest {
  const same = Object.fromEntries(
    Object.entries(pickFields(command, ClaudeOptions.properties)).filter(([name]) => !NOT_INHERITED.has(name)),
  ) as ClaudeOptions;
  const { allowed_tools: allowed = [], disallowed_tools: denied = [] } = command;
  const of = 'the parent task';
  for (const rule of requestedTools ?? []) {
    const why = requestFault([{ of, allow: allowed.map(parseRule), deny: denied.map(parseRule) }], rule);
    if (why !== undefined) throw new ApiError('tool_not_allowed', `allowed_tools: ${why}`);
  }
  return defined({
    ...same,
    prompt,
    ...(model === undefined ? {} : { model }),
    ...(requestedTools === undefined ? {} : { allowed_tools: requestedTools }),
    queue: command.queue,
    priority: command.priority,
    ...(command.workspace === undefined ? {} : { workspace: command.workspace }),
    ...command.policy,
  });
}

/** The result of `task_spawn` and `task_wait` for Claude. */
function toAgentToolTask({ task_id, status, output, error, reason }: Task): AgentToolTask {
  const resultText = (output as { result?: unknown } | undefined)?.result;
  const why = error === undefined ? reason : `${error.code}: ${error.message}`;
  return {
    task_id,
    status,
    ended: isEnded(status),
    ...(typeof resultText === 'string' ? { result: resultText } : {}),
    ...(isEnded(status) && status !== 'completed' && why !== undefined ? { error: why } : {}),
  };
}
