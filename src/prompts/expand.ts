import type { Context } from './condition/holds.js';

/** `{{key}}` */
const PLACEHOLDER = /\{\{([^{}]{1,130})\}\}/g;

export class TooLongError extends Error {
  override readonly name = 'TooLongError';
}

export interface Expanded {
  readonly text: string;
  /** Keys without a value. Their placeholders are left in the text. */
  readonly unresolved: readonly string[];
}

/** Formats a value for a prompt: strings as they are, other values as JSON. */
export const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null');

/**
 * Replaces each `{{key}}` once. Placeholders inside inserted values are not expanded.
 * @param most the maximum length of the result, in characters. @throws {TooLongError}
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
 * The value of `{{key}}` in a component: the context's value, or the component's var. Placeholders in a var
 * (`role: 'a {{agent_role}}'`) are filled in from the context, not from other vars.
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
    // `topic: '{{topic}}'` without a topic in the context is unresolved.
    return text.trim() === `{{${key}}}` ? undefined : text;
  };
}
