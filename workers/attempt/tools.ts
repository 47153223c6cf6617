import { claudeNameOf, AGENT_TOOL_NAMES, AGENT_TOOLS } from '../../contracts/agents/tools.js';
import { TOOL_RULE_PATTERN, type ToolPolicy } from '../../contracts/tasks/tool-policy.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { layersOf, type RequestedTools, toolsOf, requestFault, editFault, useFault } from '../../src/tools/limits.js';
import type { LargeValues } from '../claude/large-values.js';
import type { ClaudeTools, ToolFault } from '../claude/tools.js';
import { TaskFault } from './fault.js';

const RULE = new RegExp(TOOL_RULE_PATTERN);

/**
 * The tools that a task may use.
 * @param workspace where Claude works. Undefined: the session's own folder.
 * @param policy the current policy, which may allow less than when the task was accepted.
 * @throws {TaskFault} tool_not_allowed, with the rule that the policy refuses.
 */
export function toolsFor(
  {
    owner,
    allowed_tools: allowed,
    disallowed_tools: disallowed = [],
    agent_tools = [],
  }: Pick<SpawnCommand, 'owner' | 'agent_tools' | keyof RequestedTools>,
  workspace: string | undefined,
  policy: ToolPolicy,
): ClaudeTools {
  for (const rule of [...(allowed ?? []), ...disallowed])
    if (!RULE.test(rule)) throw new TaskFault('tool_not_allowed', `${JSON.stringify(rule)} is not a tool rule`);
  const layers = layersOf(policy, owner, { disallowed_tools: disallowed });
  for (const rule of allowed ?? []) {
    const fault = requestFault(layers, rule);
    if (fault !== undefined) throw new TaskFault('tool_not_allowed', fault);
  }
  const limited = layers.some(({ allow, deny }) => allow !== undefined || deny.length > 0);
  const guarded = workspace !== undefined && !allowsGit(allowed ?? []);
  const guard: ToolFault = (tool, input) => (guarded ? gitFault(tool, input) : undefined);
  const whyNot: ToolFault = (tool, input) => useFault(layers, tool, input) ?? guard(tool, input);
  // The agent has these tools, no matter what the task requests. Those that a policy forbids are left out.
  const agentTools = AGENT_TOOL_NAMES.filter(
    (name) => agent_tools.includes(AGENT_TOOLS[name].group) && useFault(layers, claudeNameOf(name), {}) === undefined,
  );
  return {
    existing: toolsOf(layers),
    allowed: agentTools.length === 0 ? allowed : [...(allowed ?? []), ...agentTools.map(claudeNameOf)],
    agentTools,
    disallowed: [...new Set(layers.flatMap(({ deny }) => deny.map(({ text }) => text)))],
    whyNot: limited || guarded ? whyNot : undefined,
    editFault: (tool, input) => editFault(layers, tool, input) ?? guard(tool, input),
  };
}

/** Denies an input of which a large value was taken out: a rule may deny the missing part. */
export function denyIncomplete(tools: ClaudeTools, large: Pick<LargeValues, 'added'>): ClaudeTools {
  const { whyNot } = tools;
  if (whyNot === undefined) return tools;
  return {
    ...tools,
    whyNot: (name, input) =>
      large.added(JSON.stringify(input)) > 0 ? 'The input is too large to be checked.' : whyNot(name, input),
  };
}

const allowsGit = (allowed: readonly string[]): boolean => allowed.some((rule) => /^Bash($|\(git\b)/.test(rule));

/**
 * Claude allows `git status` and similar commands without a request. Git then runs programs that the repository's configuration
 * names (`filter.*.clean`, `core.fsmonitor` …; tested). Others may write in a workspace, so the task must allow git explicitly.
 */
const gitFault = (tool: string, { command }: Record<string, unknown>): string | undefined =>
  (tool === 'Bash' || tool === 'Monitor') &&
  typeof command === 'string' &&
  /\bgit\b/.test(command.replaceAll(/['"\\]/g, ''))
    ? "git would run programs that the folder's own git configuration names: allow it in `allowed_tools`, as Bash(git:*)"
    : undefined;
