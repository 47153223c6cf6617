import type { Approval } from '../../../contracts/tasks/approvals.js';
import type { Always, ApprovalRule } from '../../../contracts/tasks/approval-rules.js';
import { TOOL_RULE_PATTERN } from '../../../contracts/tasks/tool-policy.js';
import { useFault } from '../../tools/limits.js';
import { parseRule, prefixOf } from '../../tools/rule.js';

type Asked = Pick<Approval, 'kind' | 'tool' | 'input'>;

/** Whether a rule allows what is asked. When in doubt it does not. Pure. */
export function allows(rule: string, { kind, tool, input = {} }: Asked): boolean {
  if (kind !== 'tool') return false;
  const layer = { of: 'the request', allow: [parseRule(rule)], deny: [] } as const;
  return useFault([layer], tool, input) === undefined;
}

/** Whether a rule is for the task that asks, and allows what it asks. Pure. */
export function applies(rule: ApprovalRule, approval: Approval): boolean {
  if (rule.owner !== approval.owner) return false;
  if (rule.scope === 'session' && rule.session_id !== approval.session_id) return false;
  if (rule.scope === 'agent' && rule.agent_id !== approval.agent_id) return false;
  return allows(rule.rule, approval);
}

const RULE = new RegExp(TOOL_RULE_PATTERN);

/** The rule that an answer makes. @returns why there is none, and of which field. Pure. */
export function ruleFor(
  { rule, scope }: Always,
  approval: Approval,
): { readonly rule: string } | { readonly field: string; readonly message: string } {
  if (approval.kind !== 'tool')
    return { field: 'always', message: 'is for tools; a question or a plan is asked each time' };
  if (scope === 'agent' && approval.agent_id === undefined)
    return { field: 'always.scope', message: 'is of an agent, and the task is no agent’s' };
  const made = rule ?? sameAgain(approval);
  // The use of most tools cannot be named: one `Write` would allow every `Write`. In the session the person sees what follows.
  if (rule === undefined && scope !== 'session' && parseRule(made).uses === undefined)
    return {
      field: 'always.rule',
      message: `is needed: this would allow every use of ${made}. To allow that, name the rule: ${made}. Otherwise use the scope \`session\``,
    };
  // Of `rm *` the same would be any command that begins with `rm`: a person has to say so.
  const clear = rule !== undefined || prefixOf(parseRule(made).uses ?? '').exact;
  if (clear && RULE.test(made) && allows(made, approval)) return { rule: made };
  return {
    field: 'always.rule',
    message:
      rule === undefined
        ? 'is needed: this use cannot be put into a rule of its own'
        : 'does not fit what is asked. Uses can be named for Bash, by the beginning of each command, and WebFetch, by domain',
  };
}

function sameAgain({ tool, input = {} }: Asked): string {
  const { command, url } = input;
  if (tool === 'Bash') return `Bash(${String(command).trim().replaceAll(/\s+/g, ' ')})`;
  if (tool === 'WebFetch') return `WebFetch(domain:${URL.canParse(String(url)) ? new URL(String(url)).hostname : ''})`;
  return tool;
}
