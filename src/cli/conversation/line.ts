import type { Line } from '../../../contracts/conversations/conversations.js';

type PrintedLine = Pick<Line, 'kind' | 'name'> & {
  readonly part?: string | undefined;
  readonly text?: string | undefined;
  readonly error?: string | undefined;
};

/** The printed form of a line: the speaker and the text. */
export function lineText({ kind, name, part, text = '', error }: PrintedLine): { head: string; body: string } {
  const head = `${name}${part === undefined ? '' : ` (${part})`}:`;
  if (kind === 'passed') return { head, body: '[passed]' };
  if (kind === 'failed') return { head, body: `[could not answer: ${error ?? 'unknown reason'}]` };
  return { head, body: text.trim() };
}
