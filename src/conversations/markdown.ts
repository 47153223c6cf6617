import type { ConversationTranscript, Line } from '../../contracts/conversations/conversations.js';

/** Pure. A conversation as Markdown. */
export function conversationMarkdown({
  topic,
  mode,
  lines,
}: Pick<ConversationTranscript, 'topic' | 'mode' | 'lines'>): string {
  const title = topic.split('\n', 1)[0]?.trim() ?? '';
  const rest = topic.trim() === title ? [] : [topic.trim()];
  return `${[`# ${title}`, `*${mode}*`, ...rest, ...lines.map(paragraph)].join('\n\n')}\n`;
}

const paragraph = ({ kind, name, part, text, error }: Line): string => {
  const who = `## ${name}${part === undefined ? '' : ` (${part})`}`;
  if (kind === 'passed') return `${who}\n\n*passed this turn*`;
  if (kind === 'failed') return `${who}\n\n*could not answer: ${error ?? 'unknown reason'}*`;
  return `${who}\n\n${text}`;
};
