import { cut, widthOf } from './width.js';
import { printable } from './printable.js';

const GAP = 2;
const MIN_WIDTH = 8;

/**
 * Renders a table. To fit `width`, it shortens the last column, then the widest others. The first column, the id, is never cut.
 * @param width in columns; Infinity: nothing is cut.
 */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const all = [head, ...rows].map((row) => row.map(oneLine));
  const widths = head.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ''))));
  const last = widths.length - 1;
  const fixed = (): number => widths.slice(0, last).reduce((sum, cells) => sum + cells + GAP, 0);
  for (let over = fixed() + MIN_WIDTH - width; over > 0; over = fixed() + MIN_WIDTH - width) {
    const widest = widths.indexOf(Math.max(...widths.slice(1, last)), 1);
    const cells = widths[widest] ?? 0;
    if (widest >= last || cells <= MIN_WIDTH) break;
    widths[widest] = Math.max(MIN_WIDTH, cells - over);
  }
  widths[last] = Math.max(MIN_WIDTH, width - fixed());
  const formatCell = (cell: string, column: number): string => {
    const fitting = cut(cell, widths[column] ?? 0);
    return column === last ? fitting : fitting + ' '.repeat((widths[column] ?? 0) - widthOf(fitting));
  };
  return all.map((row) => row.map(formatCell).join(' '.repeat(GAP)).trimEnd()).join('\n');
}

/** Replaces white space and control characters, so that text fits on one line. */
export const oneLine = (text: string): string => printable(text.replace(/[\s\p{Cc}]+/gu, ' ')).trim();

/** `oneLine`, cut to `most` columns. */
export const shorten = (text: string, most: number): string => cut(oneLine(text), most);
