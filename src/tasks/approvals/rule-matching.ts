import type { Approval } from '../../../contracts/tasks/approvals.js';
import type { Always, ApprovalRule } from '../../../contracts/tasks/approval-rules.js';
import { TOOL_RULE_PATTERN } from '../../../contracts/tasks/tool-policy.js';
import { useFault } from '../../tools/limits.js';
import { parseRule, prefixOf } from '../../tools/rule.js';

type ToolUse = Pick<Approval, 'kind' | 'tool' | 'input'>;

/** Pure: whether a rule allows a tool use. When in doubt it does not. */
export function ruleAllows(rule: string, { kind, tool, input = {} }: ToolUse): boolean {
  if (kind !== 'tool') return false;
  const layer = { of: 'the request', allow: [parseRule(rule)], deny: [] } as const;
  return useFault([layer], tool, input) === undefined;
}

/** Pure: whether a rule applies to an approval's task and allows its tool use. */
export function ruleApplies(rule: ApprovalRule, approval: Approval): boolean {
  if (rule.owner !== approval.owner) return false;
  if (rule.scope === 'session' && rule.session_id !== approval.session_id) return false;
  if (rule.scope === 'agent' && rule.agent_id !== approval.agent_id) return false;
  return ruleAllows(rule.rule, approval);
}

const RULE = new RegExp(TOOL_RULE_PATTERN);

/** Pure: the rule that an answer creates, or the fault that prevents one. */
export function proposedRule(
  { rule, scope }: Always,
  approval: Approval,
): { readonly rule: string } | { readonly field: string; readonly message: string } {
  if (approval.kind !== 'tool')
    return { field: 'always', message: 'is only for tools; questions and plans are never answered by rules' };
  if (scope === 'agent' && approval.agent_id === undefined)
    return { field: 'always.scope', message: 'must not be `agent`, because the task belongs to no agent' };
  const proposed = rule ?? sameUse(approval);
  // Rules cannot describe single uses of most tools: a rule for `Write` allows every `Write`. Within a session a person sees each use.
  if (rule === undefined && scope !== 'session' && parseRule(proposed).uses === undefined)
    return {
      field: 'always.rule',
      message: `is required, because this would allow every use of ${proposed}. To allow that, set \`rule\` to ${proposed}. Otherwise use the scope \`session\``,
    };
  // A rule derived from `rm *` would allow every command that begins with `rm`. A person must write such a rule.
  const clear = rule !== undefined || prefixOf(parseRule(proposed).uses ?? '').exact;
  if (clear && RULE.test(proposed) && ruleAllows(proposed, approval)) return { rule: proposed };
  return {
    field: 'always.rule',
    message:
      rule === undefined
        ? 'is required: no rule can be derived from this use'
        : 'does not match this use. Rules can describe uses of Bash, by the beginning of each command, and of WebFetch, by domain',
  };
}

function sameUse({ tool, input = {} }: ToolUse): string {
  const { command, url } = input;
  if (tool === 'Bash') return `Bash(${String(command).trim().replaceAll(/\s+/g, ' ')})`;
  if (tool === 'WebFetch') return `WebFetch(domain:${URL.canParse(String(url)) ? new URL(String(url)).hostname : ''})`;
  return tool;
}
