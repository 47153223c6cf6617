import { claudeNameOf, HAND_TOOL_NAMES, HAND_TOOLS } from '../../contracts/agents/tools.js';
import { TOOL_RULE_PATTERN, type ToolPolicy } from '../../contracts/tasks/tool-policy.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { layersOf, type RequestedTools, toolsOf, requestFault, editFault, useFault } from '../../src/tools/limits.js';
import type { ClaudeTools, WhyNot } from '../claude/tools.js';
import { TaskFault } from './fault.js';

const RULE = new RegExp(TOOL_RULE_PATTERN);

/**
 * @param workspace that it works in; undefined: a folder of its session's own.
 * @param policy as it is now: what was allowed when the task was accepted counts no more.
 * @throws {TaskFault} naming the rule that can't be had.
 */
export function toolsFor(
  {
    owner,
    allowed_tools: allowed,
    disallowed_tools: disallowed = [],
    hands = [],
  }: Pick<SpawnCommand, 'owner' | 'hands' | keyof RequestedTools>,
  workspace: string | undefined,
  policy: ToolPolicy,
): ClaudeTools {
  for (const rule of [...(allowed ?? []), ...disallowed])
    if (!RULE.test(rule)) throw new TaskFault('tool_not_allowed', `${JSON.stringify(rule)} is not a rule of one tool`);
  const layers = layersOf(policy, owner, { disallowed_tools: disallowed });
  for (const rule of allowed ?? []) {
    const why = requestFault(layers, rule);
    if (why !== undefined) throw new TaskFault('tool_not_allowed', why);
  }
  const limited = layers.some(({ allow, deny }) => allow !== undefined || deny.length > 0);
  const guarded = workspace !== undefined && !asksForGit(allowed ?? []);
  const guard: WhyNot = (tool, input) => (guarded ? whyNotGit(tool, input) : undefined);
  const whyNot: WhyNot = (tool, input) => useFault(layers, tool, input) ?? guard(tool, input);
  // Given with the agent, and not asked for: what a policy forbids of them is not there.
  const handTools = HAND_TOOL_NAMES.filter(
    (name) => hands.includes(HAND_TOOLS[name].hand) && useFault(layers, claudeNameOf(name), {}) === undefined,
  );
  return {
    existing: toolsOf(layers),
    allowed: handTools.length === 0 ? allowed : [...(allowed ?? []), ...handTools.map(claudeNameOf)],
    hands: handTools,
    disallowed: [...new Set(layers.flatMap(({ deny }) => deny.map(({ text }) => text)))],
    whyNot: limited || guarded ? whyNot : undefined,
    editFault: (tool, input) => editFault(layers, tool, input) ?? guard(tool, input),
  };
}

const asksForGit = (allowed: readonly string[]): boolean => allowed.some((rule) => /^Bash($|\(git\b)/.test(rule));

/**
 * Claude lets `git status` and its like pass without asking, and git runs what the repository's own configuration names
 * (`filter.*.clean`, `core.fsmonitor` …; tried). In a folder that others may have written into that is for the request to allow.
 */
const whyNotGit = (tool: string, { command }: Record<string, unknown>): string | undefined =>
  (tool === 'Bash' || tool === 'Monitor') &&
  typeof command === 'string' &&
  /\bgit\b/.test(command.replaceAll(/['"\\]/g, ''))
    ? "git would run programs that the folder's own git configuration names: allow it in `allowed_tools`, as Bash(git:*)"
    : undefined;
