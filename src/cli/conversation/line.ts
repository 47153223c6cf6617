import type { Line } from '../../../contracts/conversations/conversations.js';

type Said = Pick<Line, 'kind' | 'name'> & {
  readonly part?: string | undefined;
  readonly text?: string | undefined;
  readonly error?: string | undefined;
};

/** What is printed of a line: who speaks, and what was said. */
export function lineText({ kind, name, part, text = '', error }: Said): { head: string; body: string } {
  const head = `${name}${part === undefined ? '' : ` (${part})`}:`;
  if (kind === 'passed') return { head, body: '[lets the turn pass]' };
  if (kind === 'failed') return { head, body: `[could not answer: ${error ?? 'no reason is known'}]` };
  return { head, body: text.trim() };
}
