import stringWidth from 'string-width';

const PLAIN = /^[\x20-\x7e]*$/;
const SEGMENTER = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** The width of a line in terminal columns. */
export const widthOf = (line: string): number => (PLAIN.test(line) ? line.length : stringWidth(line));

/** Cuts a line to `most` columns, without splitting characters. */
export function cut(line: string, most: number): string {
  if (widthOf(line) <= most) return line;
  let kept = '';
  let columns = 1; // For the `…`.
  for (const { segment } of SEGMENTER.segment(line.slice(0, most * 16))) {
    columns += widthOf(segment);
    if (columns > most) break;
    kept += segment;
  }
  return `${kept}…`;
}
