import { cut, widthOf } from './width.js';

const GAP = 2;
const LEAST = 8;

/** A table whose last column, and then its widest but the first (the id, which is to be copied), gives way so that a row fits `width`. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const all = [head, ...rows].map((row) => row.map(oneLine));
  const widths = head.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ''))));
  const last = widths.length - 1;
  const fixed = (): number => widths.slice(0, last).reduce((sum, cells) => sum + cells + GAP, 0);
  const over = fixed() + LEAST - width;
  const widest = widths.indexOf(Math.max(...widths.slice(1, last)), 1);
  if (over > 0 && widest !== -1) widths[widest] = Math.max(LEAST, (widths[widest] ?? 0) - over);
  widths[last] = Math.max(LEAST, width - fixed());
  const padded = (cell: string, cells: number): string => {
    const fitting = cut(cell, cells);
    return fitting + ' '.repeat(cells - widthOf(fitting));
  };
  return all
    .map((row) =>
      row
        .map((cell, column) => padded(cell, widths[column] ?? 0))
        .join(' '.repeat(GAP))
        .trimEnd(),
    )
    .join('\n');
}

/** Without line breaks, nor anything else that would steer a terminal. */
export const oneLine = (text: string): string => text.replace(/[\s\p{Cc}]+/gu, ' ').trim();

/** On one line, and no wider than `most`. */
export const shorten = (text: string, most: number): string => cut(oneLine(text), most);

/** How long ago, as people say it. */
export function ago(iso: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1_000));
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)}h ago` : `${Math.floor(seconds / 86_400)}d ago`;
}
