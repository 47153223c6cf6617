/** A place in an answer or a schema that does not match. */
export interface Mismatch {
  /** A JSON pointer; '' for the whole. */
  readonly path: string;
  readonly message: string;
  readonly expected?: unknown;
}

export interface ValidationRequest {
  readonly schema: Readonly<Record<string, unknown>>;
  /** Undefined: only the schema is judged. */
  readonly answer?: { readonly value: unknown } | undefined;
}

export type ValidationResult =
  { readonly kind: 'fits' } | { readonly kind: 'mismatch' | 'no_schema'; readonly mismatches: readonly Mismatch[] };
