/** What a terminal shows two columns wide: emoji, and the scripts of East Asia. */
const WIDE =
  /^(?:\p{Emoji_Presentation}|.\uFE0F|[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{20000}-\u{3FFFD}])/u;
const PLAIN = /^[\x20-\x7e]*$/;

const graphemes = (text: string): string[] =>
  Array.from(new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text), ({ segment }) => segment);

const widthOfGrapheme = (grapheme: string): number => (WIDE.test(grapheme) ? 2 : 1);

/** Columns of a terminal that a line takes. */
export const widthOf = (line: string): number =>
  PLAIN.test(line)
    ? line.length
    : graphemes(line).reduce((columns, grapheme) => columns + widthOfGrapheme(grapheme), 0);

/** No wider than `most` columns, and no character torn. */
export function cut(line: string, most: number): string {
  if (widthOf(line) <= most) return line;
  let kept = '';
  let columns = 1; // The sign that it was cut.
  for (const grapheme of graphemes(line.slice(0, most * 16))) {
    columns += widthOfGrapheme(grapheme);
    if (columns > most) break;
    kept += grapheme;
  }
  return `${kept}…`;
}
