import type { ToolLimits, ToolPolicy } from '../../contracts/tasks/tool-policy.js';
import { covers, domainOf, namesTool, parseRule, prefixOf, startsWithWords, type ToolRule } from './rule.js';

/** One party's limits on tools. */
export interface Layer {
  readonly of: "the operator's policy" | "the owner's policy" | 'the request' | 'the parent task';
  /** Undefined if every tool is allowed. */
  readonly allow: readonly ToolRule[] | undefined;
  readonly deny: readonly ToolRule[];
}

/** The tool rules of a request. */
export interface RequestedTools {
  readonly allowed_tools?: readonly string[];
  readonly disallowed_tools?: readonly string[];
}

const layer = (of: Layer['of'], { allow, deny = [] }: ToolLimits): Layer => ({
  of,
  allow: allow?.map(parseRule),
  deny: deny.map(parseRule),
});

/** All limits of an owner's task. */
export const layersOf = (policy: ToolPolicy, owner: string, requested: RequestedTools): readonly Layer[] => [
  layer("the operator's policy", policy),
  layer("the owner's policy", policy.owners?.[owner] ?? {}),
  layer('the request', { deny: [...(requested.disallowed_tools ?? [])] }),
];

/** Checks a requested rule. @returns the reason against it, with the layer and its rules, or undefined if it is allowed */
export function requestFault(layers: readonly Layer[], text: string): string | undefined {
  const requested = parseRule(text);
  for (const { of, allow, deny } of layers) {
    const denied = deny.find((rule) => covers(rule, requested));
    if (denied !== undefined) return `${text} is denied by ${of} (${denied.text})`;
    if (allow !== undefined && !allow.some((rule) => covers(rule, requested)))
      return `${text} is not allowed by ${of}, which allows: ${listed(allow)}`;
  }
  return undefined;
}

/** Another tool that runs shell commands. Denials of Bash apply to it. */
const MONITOR = 'Monitor';
const deniesSome = (rule: ToolRule, tool: string): boolean =>
  namesTool(rule, tool) || (tool === MONITOR && namesTool(rule, 'Bash'));

/** The tool by which Claude returns an answer that follows a schema. It has no effect, so it is always allowed. */
const STRUCTURED_OUTPUT = 'StructuredOutput';

/** Checks a tool call. @returns the reason against it, with the layer and its rules, or undefined if it is allowed */
export function useFault(layers: readonly Layer[], tool: string, input: Record<string, unknown>): string | undefined {
  if (tool === STRUCTURED_OUTPUT) return undefined;
  for (const { of, allow, deny } of layers) {
    const denied = deny.find(
      (rule) => deniesSome(rule, tool) && (rule.uses === undefined || touches(rule, tool, input)),
    );
    if (denied !== undefined) return `${tool} is denied by ${of} (${denied.text})`;
    if (allow === undefined) continue;
    const rules = allow.filter((rule) => namesTool(rule, tool));
    if (rules.some(({ uses }) => uses === undefined) || (rules.length > 0 && within(rules, tool, input))) continue;
    return `This use of ${tool} is not allowed by ${of}, which allows: ${listed(allow)}`;
  }
  return undefined;
}

/**
 * Checks a tool call whose input a person has edited. Claude applies its rules only to the input that it wrote, so this refuses the call if a
 * denial could apply that KSI cannot evaluate.
 * @returns as `useFault`
 */
export function editFault(layers: readonly Layer[], tool: string, input: Record<string, unknown>): string | undefined {
  const why = useFault(layers, tool, input);
  if (why !== undefined) return why;
  for (const { of, deny } of layers) {
    const unknown = deny.find((rule) => mayConcern(rule, tool) && !isDecidable(rule));
    if (unknown !== undefined)
      return `${of} denies some uses (${unknown.text}), and KSI cannot tell whether the edited input is one of them: allow the original input, or deny it`;
  }
  return undefined;
}

/** Claude applies a rule for one of these tools to all of them. */
const FILE_TOOLS = ['Read', 'Edit', 'Write', 'MultiEdit', 'NotebookEdit', 'Glob', 'Grep'];

const mayConcern = (rule: ToolRule, tool: string): boolean =>
  deniesSome(rule, tool) || (FILE_TOOLS.includes(tool) && FILE_TOOLS.some((other) => namesTool(rule, other)));

/** Whether `touches` can decide every use. */
function isDecidable({ tool, uses }: ToolRule): boolean {
  if (uses === undefined) return true;
  if (tool === 'WebFetch') return domainOf(uses)?.includes('*') === false;
  return tool === 'Bash' && !prefixOf(uses).words.includes('*');
}

/** The names of the built-in tools that a task gets; undefined for all. Tools of MCP servers are checked at each call instead. */
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

/** Separates the commands of a line. */
const BETWEEN = /\|\||&&|[;|&\n]/;
/** Syntax that may hide a command. Parentheses can define a function with an allowed name. */
const HIDDEN = /[`$<>\\()]/;
/** Separates the commands of a line, including nested ones. */
const AROUND = /[;|&\n`(){}]/;

const commandsOf = ({ command }: Record<string, unknown>, between: RegExp): string[] =>
  typeof command === 'string'
    ? command
        .split(between)
        .map((part) => part.trim().replaceAll(/\s+/g, ' '))
        .filter((part) => part !== '')
    : [];

/** Whether a denying rule applies to a call, as far as KSI can tell. Claude has the rule too and refuses the rest. */
function touches({ uses = '' }: ToolRule, tool: string, input: Record<string, unknown>): boolean {
  if (tool === 'WebFetch') return hostOf(input) === domainOf(uses);
  if (tool !== 'Bash' && tool !== MONITOR) return false;
  const { words, exact } = prefixOf(uses);
  return commandsOf(input, AROUND).some((command) => (exact ? command === words : startsWithWords(command, words)));
}

/** Whether the rules allow everything that a call does. False when in doubt. */
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

/** The host without the trailing dot of an absolute name. */
const hostOf = ({ url }: Record<string, unknown>): string | undefined =>
  typeof url === 'string' && URL.canParse(url) ? new URL(url).hostname.replace(/\.$/, '') : undefined;
