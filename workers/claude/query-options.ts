import type { HookCallback, McpSdkServerConfigWithInstance, Options } from '@anthropic-ai/claude-agent-sdk';
import type { ClaudeOptions } from '../../contracts/tasks/claude-options.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { defined } from '../../src/defined.js';
import type { ClaudeTools } from './tools.js';
import { UNAVAILABLE_TOOLS } from './unavailable-tools.js';

export interface QueryOptionsOf {
  readonly asked: ClaudeOptions & Pick<SpawnCommand, 'budget_usd'>;
  /** Of a task that names none. */
  readonly defaultModel: string;
  readonly tools: ClaudeTools;
  /** File with the MCP servers that the task may use; undefined: none. */
  readonly mcpConfig: string | undefined;
  /** What its agent's hands are reached by; undefined: it has none. */
  readonly hands?: McpSdkServerConfigWithInstance | undefined;
}

/** What a task asks of Claude, in the SDK's words, and what no task can change. */
export function queryOptions({ asked, defaultModel, tools, mcpConfig, hands }: QueryOptionsOf): Options {
  const { existing, allowed, disallowed, whyNot } = tools;
  return defined({
    model: asked.model ?? defaultModel,
    fallbackModel: asked.fallback_model,
    effort: asked.effort,
    maxTurns: asked.max_turns,
    maxBudgetUsd: least(asked.max_budget_usd, asked.budget_usd),
    systemPrompt: systemPrompt(asked),
    outputFormat:
      asked.output_schema === undefined ? undefined : { type: 'json_schema' as const, schema: asked.output_schema },
    tools: existing === undefined ? undefined : [...existing],
    allowedTools: allowed === undefined ? undefined : [...allowed],
    disallowedTools: [...UNAVAILABLE_TOOLS, ...disallowed],
    hooks: whyNot === undefined ? undefined : { PreToolUse: [{ hooks: [denying(whyNot)] }] },
    // Nobody to ask: what needs permission is denied at once, as `claude --print` does.
    permissionMode: asked.permission_mode ?? 'default',
    includePartialMessages: asked.include_deltas ?? true,
    // Claude Code would otherwise replace `@path` by the file and run slash commands before it checks any permission.
    verbatimPrompts: true,
    // Nothing from the working folder or the worker's user decides what Claude may do.
    settingSources: [],
    strictMcpConfig: true,
    mcpServers: hands === undefined ? undefined : { [hands.name]: hands },
    // By a file: arguments are shown to everybody on the machine, and servers have secrets.
    extraArgs: mcpConfig === undefined ? undefined : { 'mcp-config': mcpConfig },
  });
}

function systemPrompt({ system_prompt: own, append_system_prompt: append }: ClaudeOptions): Options['systemPrompt'] {
  if (own !== undefined) return append === undefined ? own : `${own}\n\n${append}`;
  return { type: 'preset', preset: 'claude_code', ...(append === undefined ? {} : { append }) };
}

/** Asked before each use of a tool, by subagents too; what it says reaches the model and the task's events. */
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
