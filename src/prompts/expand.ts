import type { Context } from './condition/holds.js';

/** A `{{key}}` in a text. */
const PLACEHOLDER = /\{\{([^{}]{1,130})\}\}/g;

export class TooLongError extends Error {
  override readonly name = 'TooLongError';
}

/** What came of a text. */
export interface Expanded {
  readonly text: string;
  /** Keys that nothing was known for: they stand there as they were. */
  readonly unresolved: readonly string[];
}

/** What a value is in a prompt: a text as it is, anything else as JSON. */
export const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null');

/**
 * Replaces each `{{key}}`, once: what a value holds is never looked at, whatever it looks like.
 * @param lookup the value of a key; undefined: there is none. @param most characters that it may become. @throws {TooLongError}
 */
export function expand(text: string, lookup: (key: string) => string | undefined, most: number): Expanded {
  const unresolved = new Set<string>();
  const parts: string[] = [];
  let length = 0;
  const add = (part: string): void => {
    length += part.length;
    if (length > most) throw new TooLongError(`The prompt would have more than ${most} characters`);
    parts.push(part);
  };
  let from = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    const key = (match[1] ?? '').trim();
    const value = lookup(key);
    if (value === undefined) unresolved.add(key);
    add(text.slice(from, match.index));
    add(value ?? match[0]);
    from = match.index + match[0].length;
  }
  add(text.slice(from));
  return { text: parts.join(''), unresolved: [...unresolved] };
}

/**
 * What `{{key}}` stands for in a component: the context's value, else the component's var, in whose text the context's
 * values are put in (`role: 'a {{agent_role}}'`), but no other var's.
 */
export function lookupIn(context: Context, vars: Context, most: number): (key: string) => string | undefined {
  const ofContext = (key: string): string | undefined =>
    Object.hasOwn(context, key) ? textOf(context[key]) : undefined;
  return (key) => {
    const given = ofContext(key);
    if (given !== undefined || !Object.hasOwn(vars, key)) return given;
    const value = vars[key];
    if (typeof value !== 'string') return textOf(value);
    const { text } = expand(value, ofContext, most);
    // `topic: '{{topic}}'` without a topic says nothing that the text itself does not.
    return text.trim() === `{{${key}}}` ? undefined : text;
  };
}
