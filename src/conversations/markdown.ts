import type { ConversationTranscript, Line } from '../../contracts/conversations/conversations.js';

/** A conversation to read. Pure. */
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
  if (kind === 'passed') return `${who}\n\n*lets the turn pass*`;
  if (kind === 'failed') return `${who}\n\n*could not answer: ${error ?? 'no reason is known'}*`;
  return `${who}\n\n${text}`;
};
