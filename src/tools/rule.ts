/** A rule of a tool policy: a tool, or some uses of it. Its form is TOOL_RULE_PATTERN's. */
export interface ToolRule {
  /** As it was written. */
  readonly text: string;
  /** May hold `*`, as in `mcp__files__*`. */
  readonly tool: string;
  /** What stands in the brackets. */
  readonly uses: string | undefined;
}

export function parseRule(text: string): ToolRule {
  const open = text.indexOf('(');
  if (open === -1) return { text, tool: text, uses: undefined };
  return { text, tool: text.slice(0, open), uses: text.slice(open + 1, -1) };
}

/** Whether a rule goes for a tool of this name, in whatever use. */
export function namesTool(rule: ToolRule, tool: string): boolean {
  const [first = '', ...rest] = rule.tool.split('*');
  const last = rest.pop();
  if (last === undefined) return rule.tool === tool;
  if (!tool.startsWith(first) || !tool.endsWith(last)) return false;
  // Not by a regular expression: both sides may be a client's, and many stars would take it for ever.
  let at = first.length;
  for (const part of rest) {
    const found = tool.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= tool.length - last.length;
}

/** The beginning of commands that a rule for Bash goes for (`git:*` and `git *` alike); of one without a star, all of it. */
export function prefixOf(uses: string): { words: string; exact: boolean } {
  const words = uses.replace(/(:| )\*$/, '');
  return { words, exact: words === uses };
}

const DOMAIN = 'domain:';

/** The domain that a rule for WebFetch goes for. */
export const domainOf = (uses: string): string | undefined =>
  uses.startsWith(DOMAIN) ? uses.slice(DOMAIN.length).toLowerCase() : undefined;

/** With one of these a command may do more than its first words tell. */
const SHELL_SYNTAX = /[;&|`$<>\n\\]/;

/** Whether all uses that `asked` goes for are uses that `allowed` goes for. When in doubt they are not. */
export function covers(allowed: ToolRule, asked: ToolRule): boolean {
  if (!namesTool(allowed, asked.tool) || (asked.tool.includes('*') && asked.tool !== allowed.tool)) return false;
  if (allowed.uses === undefined || allowed.uses === asked.uses) return true;
  if (asked.uses === undefined) return false;
  if (asked.tool === 'WebFetch')
    return domainOf(allowed.uses) !== undefined && domainOf(allowed.uses) === domainOf(asked.uses);
  if (asked.tool !== 'Bash' || SHELL_SYNTAX.test(asked.uses)) return false;
  const { words, exact } = prefixOf(allowed.uses);
  return !exact && startsWithWords(prefixOf(asked.uses).words, words);
}

export const startsWithWords = (command: string, words: string): boolean =>
  command === words || command.startsWith(`${words} `);
