import { ConditionError } from './condition.js';

export type Token = { readonly at: number } & (
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'key'; readonly name: string }
  /** An operator, a bracket, a comma or a keyword. */
  | { readonly kind: 'sign'; readonly text: string }
  | { readonly kind: 'end' }
);

const BLANK = /[ \t\r\n]+/y;
const KEY = /\{\{([^{}]*)\}\}/y;
const NUMBER = /(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.])/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const SIGN = /==|!=|<=|>=|[<>()[\],-]/y;
const WORDS = new Set(['and', 'or', 'not', 'in', 'True', 'False', 'None', 'true', 'false', 'none', 'null']);
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', "'": "'", '"': '"' };

/** @throws {ConditionError} */
export function tokensIn(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  while (at < text.length) {
    const blank = take(BLANK);
    if (blank !== null) {
      at += blank[0].length;
      continue;
    }
    const { token, length } = next(text, at, take);
    tokens.push(token);
    at += length;
  }
  tokens.push({ kind: 'end', at });
  return tokens;
}

function next(
  text: string,
  at: number,
  take: (pattern: RegExp) => RegExpExecArray | null,
): { token: Token; length: number } {
  if (text[at] === "'" || text[at] === '"') return stringAt(text, at);
  const key = take(KEY);
  if (key !== null) {
    const name = (key[1] ?? '').trim();
    if (name === '') throw new ConditionError('{{ }} needs the name of a key', at);
    return { token: { kind: 'key', name, at }, length: key[0].length };
  }
  if (text.startsWith('{{', at)) throw new ConditionError('{{ is not closed by }}', at);
  const number = take(NUMBER);
  if (number !== null) return { token: { kind: 'number', value: Number(number[0]), at }, length: number[0].length };
  const word = take(WORD);
  if (word !== null) {
    if (!WORDS.has(word[0]))
      throw new ConditionError(
        `\`${word[0]}\` is not a keyword. Write {{${word[0]}}} for a key, '${word[0]}' for a string`,
        at,
      );
    return { token: { kind: 'sign', text: word[0], at }, length: word[0].length };
  }
  const sign = take(SIGN);
  if (sign !== null) return { token: { kind: 'sign', text: sign[0], at }, length: sign[0].length };
  throw new ConditionError(
    `${JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))} is not allowed here`,
    at,
  );
}

/** A string with Python's escapes. A backslash before another character is kept. */
function stringAt(text: string, start: number): { token: Token; length: number } {
  const quote = text[start];
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at] ?? '';
    if (char === quote) return { token: { kind: 'string', value, at: start }, length: at + 1 - start };
    if (char === '\n') break;
    const escaped = char === '\\' ? ESCAPES[text[at + 1] ?? ''] : undefined;
    value += escaped ?? char;
    if (escaped !== undefined) at++;
  }
  throw new ConditionError('The string is not closed', start);
}
