/** A place in an answer or a schema that does not match. */
export interface Mismatch {
  /** A JSON pointer; '' for the whole. */
  readonly path: string;
  readonly message: string;
  readonly expected?: unknown;
}

export interface ValidationRequest {
  readonly schema: Readonly<Record<string, unknown>>;
  /** As JSON. Undefined: only the schema is checked. */
  readonly answer?: Uint8Array | undefined;
}

export type ValidationResult =
  { readonly kind: 'fits' } | { readonly kind: 'mismatch' | 'no_schema'; readonly mismatches: readonly Mismatch[] };
