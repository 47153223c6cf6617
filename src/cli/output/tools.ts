import { cut } from './width.js';
import { oneLine } from './table.js';

/** What it asks is shown as a question, where it can be answered. */
const QUESTION = 'AskUserQuestion';

/** What a tool is asked for, in its own words: a command, a file, else all of its input. */
export function detailOf(input: unknown): string {
  if (typeof input !== 'object' || input === null) return '';
  const { command, file_path: file, pattern, url } = input as Readonly<Record<string, unknown>>;
  for (const said of [command, file, pattern, url]) if (typeof said === 'string') return said;
  return Object.keys(input).length === 0 ? '' : JSON.stringify(input);
}

/** `→ Bash git status` @param width columns that it may take. */
export const toolLine = (name: string, input: unknown, width: number): string =>
  cut(`→ ${oneLine(`${name} ${name === QUESTION ? '' : detailOf(input)}`)}`, width);

/** What a tool answered. */
export interface ToolResult {
  readonly text: string;
  readonly failed: boolean;
}

/** The results in a message of Claude's stream; a subagent's are not told. */
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
