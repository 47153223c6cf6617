/** A table whose last column gives way so that a row fits `width` columns. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const fixed = widths.slice(0, -1).reduce((sum, cells) => sum + cells + 2, 0);
  const last = Math.max(8, width - fixed);
  return all
    .map((row) =>
      row
        .map((cell, column) => (column === head.length - 1 ? shorten(cell, last) : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Without line breaks, nor anything else that would steer a terminal. */
export const oneLine = (text: string): string => text.replace(/[\s\p{Cc}]+/gu, ' ').trim();

/** On one line, and no longer than `most`. */
export function shorten(text: string, most: number): string {
  const line = oneLine(text);
  return line.length <= most ? line : `${line.slice(0, Math.max(0, most - 1))}…`;
}

/** How long ago, as people say it. */
export function ago(iso: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1_000));
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)}h ago` : `${Math.floor(seconds / 86_400)}d ago`;
}
