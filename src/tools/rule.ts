/** A rule for a tool or for some uses of it. TOOL_RULE_PATTERN has its syntax. */
export interface ToolRule {
  /** The original text. */
  readonly text: string;
  /** May contain `*`, as in `mcp__files__*`. */
  readonly tool: string;
  /** The text in the parentheses. Undefined for all uses. */
  readonly uses: string | undefined;
}

export function parseRule(text: string): ToolRule {
  const open = text.indexOf('(');
  if (open === -1) return { text, tool: text, uses: undefined };
  return { text, tool: text.slice(0, open), uses: text.slice(open + 1, -1) };
}

/** Whether a rule's tool pattern matches a tool. Ignores the uses. */
export function namesTool(rule: ToolRule, tool: string): boolean {
  const [first = '', ...rest] = rule.tool.split('*');
  const last = rest.pop();
  if (last === undefined) return rule.tool === tool;
  if (!tool.startsWith(first) || !tool.endsWith(last)) return false;
  // A regular expression with many stars could take exponential time, and clients choose both texts.
  let at = first.length;
  for (const part of rest) {
    const found = tool.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= tool.length - last.length;
}

/** The prefix of commands that a rule for Bash matches (`git:*` and `git *` are the same). `exact`: without a star, the whole command. */
export function prefixOf(uses: string): { words: string; exact: boolean } {
  const words = uses.replace(/(:| )\*$/, '');
  return { words, exact: words === uses };
}

const DOMAIN = 'domain:';

/** The domain of a rule for WebFetch. */
export const domainOf = (uses: string): string | undefined =>
  uses.startsWith(DOMAIN) ? uses.slice(DOMAIN.length).toLowerCase() : undefined;

/** A command with one of these may do more than its first words show. */
const SHELL_SYNTAX = /[;&|`$<>\n\\]/;

/** Whether `allowed` matches every use that `asked` matches. False when in doubt. */
export function covers(allowed: ToolRule, requested: ToolRule): boolean {
  if (!namesTool(allowed, requested.tool) || (requested.tool.includes('*') && requested.tool !== allowed.tool))
    return false;
  if (allowed.uses === undefined || allowed.uses === requested.uses) return true;
  if (requested.uses === undefined) return false;
  if (requested.tool === 'WebFetch')
    return domainOf(allowed.uses) !== undefined && domainOf(allowed.uses) === domainOf(requested.uses);
  if (requested.tool !== 'Bash' || SHELL_SYNTAX.test(requested.uses)) return false;
  const { words, exact } = prefixOf(allowed.uses);
  return !exact && startsWithWords(prefixOf(requested.uses).words, words);
}

export const startsWithWords = (command: string, words: string): boolean =>
  command === words || command.startsWith(`${words} `);
