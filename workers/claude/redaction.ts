import { redactor } from './environment.js';

/** A value nested deeper than this becomes its JSON text, so that no reader of events meets more levels than it accepts (MAX_DEPTH). */
const DEEPEST = 150;

/** Keeps credentials out of what Claude says, does and is told by tools: of that others make events, transcripts and results. */
export class Redaction {
  #values: readonly string[] = [];
  #text: (text: string) => string = (text) => text;

  constructor(values: readonly string[]) {
    this.also(values);
  }

  also(values: readonly string[]): void {
    this.#values = [...this.#values, ...values];
    this.#text = redactor(this.#values);
  }

  /** The same value without them; the very same where there are none and it is not nested too deeply. */
  in<T>(value: T): T {
    return this.#in(value, 0) as T;
  }

  /** How long the end of a text is with which one of them may begin. */
  openEnd(text: string): number {
    const open = this.#values.map((value) => {
      for (let length = Math.min(value.length - 1, text.length); length > 0; length--)
        if (text.endsWith(value.slice(0, length))) return length;
      return 0;
    });
    return Math.max(0, ...open);
  }

  #in(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.#text(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth === DEEPEST) return this.#asText(value);
    if (Array.isArray(value)) {
      const items = value.map((item) => this.#in(item, depth + 1));
      return items.some((item, n) => item !== value[n]) ? items : value;
    }
    const fields = Object.entries(value);
    const clean = fields.map(([name, field]): [string, unknown] => [this.#text(name), this.#in(field, depth + 1)]);
    return clean.some(([name, field], n) => name !== fields[n]?.[0] || field !== fields[n]?.[1])
      ? Object.fromEntries(clean)
      : value;
  }

  #asText(value: object): string {
    try {
      // Each string before it is escaped, and names of fields afterwards.
      const json = JSON.stringify(value, (_name, inner: unknown) =>
        typeof inner === 'string' ? this.#text(inner) : inner,
      );
      return this.#text(json);
    } catch (error) {
      // At some thousand levels JSON.stringify runs out of stack.
      if (error instanceof RangeError) return '[nested too deeply to be shown]';
      throw error;
    }
  }
}
