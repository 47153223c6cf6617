/** What one place of an answer, or of a schema, is and should be. */
export interface Mismatch {
  /** A JSON pointer; '' for the whole. */
  readonly path: string;
  readonly message: string;
  readonly expected?: unknown;
}

export interface Question {
  readonly schema: Readonly<Record<string, unknown>>;
  /** Undefined: only the schema is judged. */
  readonly answer?: { readonly value: unknown } | undefined;
}

export type Verdict =
  { readonly kind: 'fits' } | { readonly kind: 'mismatch' | 'no_schema'; readonly mismatches: readonly Mismatch[] };
