import type { ToolLimits, ToolPolicy } from '../../contracts/tasks/tool-policy.js';
import { covers, domainOf, namesTool, parseRule, prefixOf, startsWithWords, type ToolRule } from './rule.js';

/** What one of those who may say so allows. */
export interface Layer {
  readonly of: "the operator's policy" | "the owner's policy" | 'the request' | 'the task that asks';
  /** Undefined: any. */
  readonly allow: readonly ToolRule[] | undefined;
  readonly deny: readonly ToolRule[];
}

/** What a task asks for. */
export interface RequestedTools {
  readonly allowed_tools?: readonly string[];
  readonly disallowed_tools?: readonly string[];
}

const layer = (of: Layer['of'], { allow, deny = [] }: ToolLimits): Layer => ({
  of,
  allow: allow?.map(parseRule),
  deny: deny.map(parseRule),
});

/** All that limits an owner's task. */
export const layersOf = (policy: ToolPolicy, owner: string, asked: RequestedTools): readonly Layer[] => [
  layer("the operator's policy", policy),
  layer("the owner's policy", policy.owners?.[owner] ?? {}),
  layer('the request', { deny: [...(asked.disallowed_tools ?? [])] }),
];

/** @returns why a rule can't be asked for, naming what forbids it; undefined when it can. */
export function requestFault(layers: readonly Layer[], text: string): string | undefined {
  const asked = parseRule(text);
  for (const { of, allow, deny } of layers) {
    const denied = deny.find((rule) => covers(rule, asked));
    if (denied !== undefined) return `${text} is denied by ${of} (${denied.text})`;
    if (allow !== undefined && !allow.some((rule) => covers(rule, asked)))
      return `${text} is more than ${of} allows (${listed(allow)})`;
  }
  return undefined;
}

/** Runs a shell command too: what Bash may not, it may not. */
const SHELL_TOO = 'Monitor';
const deniesSome = (rule: ToolRule, tool: string): boolean =>
  namesTool(rule, tool) || (tool === SHELL_TOO && namesTool(rule, 'Bash'));

/** By which Claude gives an answer that follows a schema: no deed of its own. */
const ANSWERING = 'StructuredOutput';

/** @returns why a tool can't be used so, naming what forbids it; undefined when it can. */
export function useFault(layers: readonly Layer[], tool: string, input: Record<string, unknown>): string | undefined {
  if (tool === ANSWERING) return undefined;
  for (const { of, allow, deny } of layers) {
    const denied = deny.find(
      (rule) => deniesSome(rule, tool) && (rule.uses === undefined || touches(rule, tool, input)),
    );
    if (denied !== undefined) return `${tool} is denied here by ${of} (${denied.text})`;
    if (allow === undefined) continue;
    const rules = allow.filter((rule) => namesTool(rule, tool));
    if (rules.some(({ uses }) => uses === undefined) || (rules.length > 0 && within(rules, tool, input))) continue;
    return `This use of ${tool} is more than ${of} allows (${listed(allow)})`;
  }
  return undefined;
}

/**
 * Claude's own rules have judged what it wrote, not what a person makes of it: so a denial that only they could tell forbids that.
 * @returns as `useFault`.
 */
export function editFault(layers: readonly Layer[], tool: string, input: Record<string, unknown>): string | undefined {
  const why = useFault(layers, tool, input);
  if (why !== undefined) return why;
  for (const { of, deny } of layers) {
    const untold = deny.find((rule) => mayConcern(rule, tool) && !isTold(rule));
    if (untold !== undefined)
      return `${of} denies some uses (${untold.text}), and whether the edited input is one cannot be told: allow it as it is, or deny it`;
  }
  return undefined;
}

/** Claude holds a rule for one of them to all. */
const FILE_TOOLS = ['Read', 'Edit', 'Write', 'MultiEdit', 'NotebookEdit', 'Glob', 'Grep'];

const mayConcern = (rule: ToolRule, tool: string): boolean =>
  deniesSome(rule, tool) || (FILE_TOOLS.includes(tool) && FILE_TOOLS.some((other) => namesTool(rule, other)));

/** Whether `touches` can tell of each use. */
function isTold({ tool, uses }: ToolRule): boolean {
  if (uses === undefined) return true;
  if (tool === 'WebFetch') return domainOf(uses)?.includes('*') === false;
  return tool === 'Bash' && !prefixOf(uses).words.includes('*');
}

/** The tools of Claude's own that there are for a task, by name; undefined: all. Those of MCP servers are judged at each use. */
export function toolsOf(layers: readonly Layer[]): string[] | undefined {
  const limiting = layers.flatMap(({ allow }) => (allow === undefined ? [] : [allow]));
  const [first, ...others] = limiting;
  if (first === undefined) return undefined;
  const names = first
    .map(({ tool }) => tool)
    .filter((tool) => !tool.startsWith('mcp__'))
    .filter((tool) => others.every((rules) => rules.some((rule) => namesTool(rule, tool))));
  return [...new Set(names)];
}

const listed = (rules: readonly ToolRule[]): string => rules.map(({ text }) => text).join(', ') || 'none';

/** Between the commands that a line runs one after the other. */
const BETWEEN = /\|\||&&|[;|&\n]/;
/** What may run commands that stand nowhere by themselves; brackets make a function, which may have an allowed name. */
const HIDDEN = /[`$<>\\()]/;
/** Between the commands that a line may run, nested ones too. */
const AROUND = /[;|&\n`(){}]/;

const commandsOf = ({ command }: Record<string, unknown>, between: RegExp): string[] =>
  typeof command === 'string'
    ? command
        .split(between)
        .map((part) => part.trim().replaceAll(/\s+/g, ' '))
        .filter((part) => part !== '')
    : [];

/** Whether a use that we can read is one of a denying rule's. What it can't tell is Claude's own to refuse, which is given the rule too. */
function touches({ uses = '' }: ToolRule, tool: string, input: Record<string, unknown>): boolean {
  if (tool === 'WebFetch') return hostOf(input) === domainOf(uses);
  if (tool !== 'Bash' && tool !== SHELL_TOO) return false;
  const { words, exact } = prefixOf(uses);
  return commandsOf(input, AROUND).some((command) => (exact ? command === words : startsWithWords(command, words)));
}

/** Whether all that is done is within the rules: when in doubt it is not. */
function within(rules: readonly ToolRule[], tool: string, input: Record<string, unknown>): boolean {
  if (tool === 'WebFetch') {
    const host = hostOf(input);
    return host !== undefined && rules.some(({ uses = '' }) => domainOf(uses) === host);
  }
  const { command } = input;
  if (tool !== 'Bash' || typeof command !== 'string' || HIDDEN.test(command)) return false;
  return commandsOf(input, BETWEEN).every((part) =>
    rules.some(({ uses = '' }) => {
      const { words, exact } = prefixOf(uses);
      return exact ? part === words : startsWithWords(part, words);
    }),
  );
}

/** Without the dot of a full name, which is the same host. */
const hostOf = ({ url }: Record<string, unknown>): string | undefined =>
  typeof url === 'string' && URL.canParse(url) ? new URL(url).hostname.replace(/\.$/, '') : undefined;
