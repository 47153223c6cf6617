import type { TranscriptEntry } from '../../../contracts/sessions/sessions.js';

type Block = Readonly<Record<string, unknown>>;

/** Renders the dialogue and the tool calls. Entries with Claude Code's own state are left out. */
export function markdownOf(title: string, entries: readonly TranscriptEntry[]): string {
  const parts = entries.flatMap((entry) => partOf(entry));
  return `# ${title}\n\n${parts.join('\n\n')}${parts.length > 0 ? '\n' : ''}`;
}

function partOf(entry: TranscriptEntry): string[] {
  if ((entry.type !== 'user' && entry.type !== 'assistant') || entry['isMeta'] === true) return [];
  const { content } = (entry['message'] ?? {}) as { content?: unknown };
  const blocks: Block[] = typeof content === 'string' ? [{ type: 'text', text: content }] : asBlocks(content);
  const results = blocks.filter(({ type }) => type === 'tool_result');
  const paragraphs = blocks.filter(({ type }) => type !== 'tool_result').flatMap(blockOf);
  const who = entry.type === 'user' ? 'User' : 'Claude';
  const when = entry.timestamp === undefined ? '' : ` · ${entry.timestamp}`;
  return [
    ...(paragraphs.length === 0 ? [] : [`## ${who}${when}`, ...paragraphs]),
    ...results.map(
      (block) => `<details><summary>Result</summary>\n\n${fenced(textOf(block['content']))}\n\n</details>`,
    ),
  ];
}

function blockOf(block: Block): string[] {
  switch (block['type']) {
    case 'text':
      return [String(block['text'])];
    case 'tool_use':
      return [`**${String(block['name'])}**\n\n${fenced(JSON.stringify(block['input'], undefined, 2), 'json')}`];
    case 'image':
    case 'document':
      return [`*(${block['type']})*`];
    default:
      return [];
  }
}

/** Uses a fence longer than any in the text. */
function fenced(text: string, language = ''): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return asBlocks(content)
    .map(({ type, text }) => (type === 'text' ? String(text) : `(${String(type)})`))
    .join('\n');
}

const asBlocks = (content: unknown): Block[] =>
  Array.isArray(content) ? content.filter((block): block is Block => typeof block === 'object' && block !== null) : [];
