import type { Logger } from 'pino';
import { ToolPolicy } from '../../contracts/tasks/tool-policy.js';
import { WatchedFile } from '../config/watched-file.js';
import { domainOf, parseRule } from './rule.js';

export type ToolPolicyFile = WatchedFile<typeof ToolPolicy>;

/** The operator's tool policy. Without a file there are no limits. @throws {ConfigError} */
export const toolPolicyFile = (path: string | undefined, log: Logger): ToolPolicyFile =>
  new WatchedFile({ variable: 'KSI_TOOL_POLICY', path, schema: ToolPolicy, none: {}, faultOf, log });

const HINT =
  'an allowed use can only be Bash(words:*) or WebFetch(domain:name); for other tools, allow the tool and deny uses of it';

function faultOf(policy: ToolPolicy): string | undefined {
  const allowed = [policy, ...Object.values(policy.owners ?? {})].flatMap(({ allow = [] }) => allow);
  const bad = allowed.find((text) => !isDecidable(text));
  return bad === undefined ? undefined : `allow: ${bad}: ${HINT}`;
}

/** Whether KSI can decide for every call if the rule allows it. */
function isDecidable(text: string): boolean {
  const { tool, uses } = parseRule(text);
  if (uses === undefined) return true;
  if (tool === 'WebFetch') return domainOf(uses) !== undefined;
  return tool === 'Bash' && !uses.replace(/(:| )\*$/, '').includes('*');
}
