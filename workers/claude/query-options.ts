import type { HookCallback, McpSdkServerConfigWithInstance, Options } from '@anthropic-ai/claude-agent-sdk';
import type { ClaudeOptions } from '../../contracts/tasks/claude-options.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { defined } from '../../src/defined.js';
import type { ClaudeTools } from './tools.js';
import { UNAVAILABLE_TOOLS } from './unavailable-tools.js';

export interface QueryOptionsOf {
  readonly requested: ClaudeOptions & Pick<SpawnCommand, 'budget_usd'>;
  /** For tasks that name no model. */
  readonly defaultModel: string;
  readonly tools: ClaudeTools;
  /** The file with the task's MCP servers. Undefined: it has none. */
  readonly mcpConfig: string | undefined;
  /** The MCP server with the agent tools. Undefined: the task has none. */
  readonly agentTools?: McpSdkServerConfigWithInstance | undefined;
}

/** The SDK options of a task: the options of its request, and the fixed options of KSI. */
export function queryOptions({ requested, defaultModel, tools, mcpConfig, agentTools }: QueryOptionsOf): Options {
  const { existing, allowed, disallowed, whyNot } = tools;
  return defined({
    model: requested.model ?? defaultModel,
    fallbackModel: requested.fallback_model,
    effort: requested.effort,
    maxTurns: requested.max_turns,
    maxBudgetUsd: least(requested.max_budget_usd, requested.budget_usd),
    systemPrompt: systemPrompt(requested),
    outputFormat:
      requested.output_schema === undefined
        ? undefined
        : { type: 'json_schema' as const, schema: requested.output_schema },
    tools: existing === undefined ? undefined : [...existing],
    allowedTools: allowed === undefined ? undefined : [...allowed],
    disallowedTools: [...UNAVAILABLE_TOOLS, ...disallowed],
    hooks: whyNot === undefined ? undefined : { PreToolUse: [{ hooks: [denying(whyNot)] }] },
    // Without approvals, permission requests are denied at once, as in `claude --print`.
    permissionMode: requested.permission_mode ?? 'default',
    includePartialMessages: requested.include_deltas ?? true,
    // Otherwise Claude Code replaces `@path` by the file, and runs slash commands, before it checks any permission.
    verbatimPrompts: true,
    // Settings in the working folder or of the worker's user must not change Claude's permissions.
    settingSources: [],
    strictMcpConfig: true,
    mcpServers: agentTools === undefined ? undefined : { [agentTools.name]: agentTools },
    // In a file, because servers have secrets and every user of the machine can read arguments.
    extraArgs: mcpConfig === undefined ? undefined : { 'mcp-config': mcpConfig },
  });
}

function systemPrompt({ system_prompt: own, append_system_prompt: append }: ClaudeOptions): Options['systemPrompt'] {
  if (own !== undefined) return append === undefined ? own : `${own}\n\n${append}`;
  return defined({ type: 'preset', preset: 'claude_code', append });
}

/** Checks each use of a tool, including those of subagents. The reason is sent to the model and appears in the task's events. */
const denying =
  (whyNot: NonNullable<ClaudeTools['whyNot']>): HookCallback =>
  (input) => {
    if (input.hook_event_name !== 'PreToolUse') return Promise.resolve({});
    const why = whyNot(input.tool_name, (input.tool_input ?? {}) as Record<string, unknown>);
    if (why === undefined) return Promise.resolve({});
    const denied = { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason: why } as const;
    return Promise.resolve({ hookSpecificOutput: denied });
  };

const least = (...limits: readonly (number | undefined)[]): number | undefined => {
  const given = limits.filter((limit) => limit !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
};
