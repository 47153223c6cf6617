/** A value of a context: what JSON can say. */
export type Value = unknown;

export const COMPARISONS = ['==', '!=', '<=', '>=', '<', '>', 'in', 'not in'] as const;
export type Comparison = (typeof COMPARISONS)[number];

/** A condition as it was read: data, of which nothing is ever run. */
export type Condition =
  | { readonly kind: 'value'; readonly value: string | number | boolean | null }
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'compare'; readonly by: Comparison; readonly left: Condition; readonly right: Condition };

/** What is wrong with a condition, and where. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError';
  /** Where in the text, in UTF-16 code units from 0; its length when something is missing at the end. */
  readonly at: number;

  constructor(what: string, at: number) {
    super(`${what} (character ${at + 1})`);
    this.at = at;
  }
}
