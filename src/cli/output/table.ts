import { cut, widthOf } from './width.js';

const GAP = 2;
const LEAST = 8;

/**
 * A table whose last column, and then the widest but the first (the id, which is to be copied), give way so that a row fits `width`.
 * @param width columns; Infinity: nothing is cut.
 */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const all = [head, ...rows].map((row) => row.map(oneLine));
  const widths = head.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ''))));
  const last = widths.length - 1;
  const fixed = (): number => widths.slice(0, last).reduce((sum, cells) => sum + cells + GAP, 0);
  for (let over = fixed() + LEAST - width; over > 0; over = fixed() + LEAST - width) {
    const widest = widths.indexOf(Math.max(...widths.slice(1, last)), 1);
    const cells = widths[widest] ?? 0;
    if (widest >= last || cells <= LEAST) break;
    widths[widest] = Math.max(LEAST, cells - over);
  }
  widths[last] = Math.max(LEAST, width - fixed());
  const shown = (cell: string, column: number): string => {
    const fitting = cut(cell, widths[column] ?? 0);
    return column === last ? fitting : fitting + ' '.repeat((widths[column] ?? 0) - widthOf(fitting));
  };
  return all.map((row) => row.map(shown).join(' '.repeat(GAP)).trimEnd()).join('\n');
}

/** Without line breaks, nor anything else that would steer a terminal. */
export const oneLine = (text: string): string => text.replace(/[\s\p{Cc}]+/gu, ' ').trim();

/** On one line, and no wider than `most`. */
export const shorten = (text: string, most: number): string => cut(oneLine(text), most);
