import stringWidth from 'string-width';

const PLAIN = /^[\x20-\x7e]*$/;
const SEGMENTER = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Columns of a terminal that a line takes. */
export const widthOf = (line: string): number => (PLAIN.test(line) ? line.length : stringWidth(line));

/** No wider than `most` columns, and no character torn. */
export function cut(line: string, most: number): string {
  if (widthOf(line) <= most) return line;
  let kept = '';
  let columns = 1; // The sign that it was cut.
  for (const { segment } of SEGMENTER.segment(line.slice(0, most * 16))) {
    columns += widthOf(segment);
    if (columns > most) break;
    kept += segment;
  }
  return `${kept}…`;
}
