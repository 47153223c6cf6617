/** A parsed subject pattern: `*` matches one token, `>` one or more at the end. */
export interface SubjectPattern {
  readonly text: string;
  matches(tokens: readonly string[]): boolean;
}

export const tokensOf = (subject: string): readonly string[] => subject.split('.');

const ROOTS = new Set(['events', 'live']);
const TOKEN = /^[A-Za-z0-9_-]+$/;

/** Parses a client's pattern. Undefined: it is malformed, or not below `ksi.events.` or `ksi.live.`. */
export function parsePattern(text: string): SubjectPattern | undefined {
  const tokens = text.split('.');
  const [first, second = ''] = tokens;
  if (first !== 'ksi' || !ROOTS.has(second) || tokens.length < 3) return undefined;
  const valid = tokens.every(
    (token, index) => token === '*' || TOKEN.test(token) || (token === '>' && index === tokens.length - 1),
  );
  if (!valid) return undefined;
  const open = tokens.at(-1) === '>';
  const fixed = open ? tokens.slice(0, -1) : tokens;
  return {
    text,
    matches: (subject) =>
      (open ? subject.length > fixed.length : subject.length === fixed.length) &&
      fixed.every((token, index) => token === '*' || token === subject[index]),
  };
}
