import { cut } from './width.js';
import { oneLine } from './table.js';
import { revealed } from './printable.js';

/** Its input is shown as a question instead. */
const QUESTION = 'AskUserQuestion';

/** The main part of a tool's input: a command, file, pattern or URL, else the whole input. */
export function detailOf(input: unknown): string {
  if (typeof input !== 'object' || input === null) return '';
  const { command, file_path: file, pattern, url } = input as Readonly<Record<string, unknown>>;
  for (const detail of [command, file, pattern, url]) if (typeof detail === 'string') return detail;
  return Object.keys(input).length === 0 ? '' : JSON.stringify(input);
}

/** The limit on the rest of a tool's input. A longer one is cut, with a note. */
const MAX_REST = 2_000;

/**
 * The tool input for an approval: its main part and the rest, with invisible characters escaped. Claude's own `title` is not shown because it
 * may be misleading. Further lines are indented, so that they cannot imitate KSI's own output.
 */
export function whatRuns(tool: string, input: Readonly<Record<string, unknown>> = {}): string {
  const detail = detailOf(input);
  const isShown = ([name, value]: [string, unknown]): boolean =>
    value === detail || (tool === 'Bash' && name === 'description');
  const rest = Object.entries(input).filter((entry) => !isShown(entry));
  const all = JSON.stringify(input);
  const further = detail === all || rest.length === 0 ? '' : `\n${shortened(JSON.stringify(Object.fromEntries(rest)))}`;
  return revealed(detail + further).replaceAll('\n', '\n    ');
}

const shortened = (json: string): string =>
  json.length <= MAX_REST
    ? json
    : `${json.slice(0, MAX_REST)}… ${json.length - MAX_REST} more characters: ksi approvals -o json`;

/** `→ Bash git status` @param width the maximum columns. */
export const toolLine = (name: string, input: unknown, width: number): string =>
  cut(`→ ${oneLine(`${name} ${name === QUESTION ? '' : detailOf(input)}`)}`, width);

/** A tool's result. */
export interface ToolResult {
  readonly text: string;
  readonly failed: boolean;
}

/** The tool results in a message of Claude's output stream, except those of subagents. */
export function toolResultsOf(message: unknown): ToolResult[] {
  const { type, parent_tool_use_id: parent, message: inner } = (message ?? {}) as Record<string, unknown>;
  const content = (inner as { content?: unknown } | undefined)?.content;
  if (type !== 'user' || typeof parent === 'string' || !Array.isArray(content)) return [];
  return (content as { type?: unknown; content?: unknown; is_error?: unknown }[])
    .filter((block) => block.type === 'tool_result')
    .map((block) => ({ text: textOf(block.content), failed: block.is_error === true }));
}

/** `⎿ 12 passed (+3 lines)` */
export function resultLine({ text, failed }: ToolResult, width: number): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const more = lines.length > 1 ? ` (+${lines.length - 1} line${lines.length === 2 ? '' : 's'})` : '';
  const first = oneLine(lines[0] ?? (failed ? 'failed' : 'done'));
  return `  ⎿ ${cut(first, Math.max(20, width - more.length - 5))}${more}`;
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as { text?: unknown; type?: unknown }[])
    .map(({ text, type }) => (typeof text === 'string' ? text : `[${String(type)}]`))
    .join('\n');
}
