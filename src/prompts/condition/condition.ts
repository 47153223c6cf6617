/** A JSON value of a context. */
export type Value = unknown;

export const COMPARISONS = ['==', '!=', '<=', '>=', '<', '>', 'in', 'not in'] as const;
export type Comparison = (typeof COMPARISONS)[number];

/** A parsed condition. It is data and never executed as code. */
export type Condition =
  | { readonly kind: 'value'; readonly value: string | number | boolean | null }
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'compare'; readonly by: Comparison; readonly left: Condition; readonly right: Condition };

/** A condition is invalid. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError';
  /** The offset of the fault in UTF-16 code units; the length of the text if something is missing at the end. */
  readonly at: number;

  constructor(what: string, at: number) {
    super(`${what} (character ${at + 1})`);
    this.at = at;
  }
}
