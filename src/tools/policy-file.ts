import type { Logger } from 'pino';
import { ToolPolicy } from '../../contracts/tasks/tool-policy.js';
import { OperatorFile } from '../config/operator-file.js';
import { domainOf, parseRule } from './rule.js';

export type ToolPolicyFile = OperatorFile<typeof ToolPolicy>;

/** The operator's tool policy. Without a file nothing is limited. @throws {ConfigError} */
export const toolPolicyFile = (path: string | undefined, log: Logger): ToolPolicyFile =>
  new OperatorFile({ variable: 'KSI_TOOL_POLICY', path, schema: ToolPolicy, none: {}, faultOf, log });

const JUDGED =
  'of the uses of a tool, only Bash(words:*) and WebFetch(domain:name) can be named here; for others allow the tool and deny uses';

function faultOf(policy: ToolPolicy): string | undefined {
  const allowed = [policy, ...Object.values(policy.owners ?? {})].flatMap(({ allow = [] }) => allow);
  const bad = allowed.find((text) => !isJudged(text));
  return bad === undefined ? undefined : `allow: ${bad}: ${JUDGED}`;
}

/** Whether we can tell of each use if it is within the rule. */
function isJudged(text: string): boolean {
  const { tool, uses } = parseRule(text);
  if (uses === undefined) return true;
  if (tool === 'WebFetch') return domainOf(uses) !== undefined;
  return tool === 'Bash' && !uses.replace(/(:| )\*$/, '').includes('*');
}
