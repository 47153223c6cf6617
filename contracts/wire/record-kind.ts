import type { TSchema } from 'typebox';

/** A kind of record in a KV bucket. Its store and the bucket's stream (topology.ts) are derived from it. */
export interface RecordKind<S extends TSchema, Key extends readonly string[]> {
  readonly bucket: string;
  readonly schema: S;
  /** The subject of a key. `*` as the last part matches all keys with the same prefix. */
  readonly subject: (...key: Key) => string;
  /** Seconds after its last write until a record expires. Absent: never. */
  readonly ttlS?: number;
  /** Seconds until a deletion marker expires; 0: never. Absent: deletions leave no marker. */
  readonly markS?: number;
  /** The broker republishes every change. Absent: caches read changes from the stream. */
  readonly watched?: true;
  /** The maximum number of records with the same key prefix, which is an owner's limit. Absent: unlimited. */
  readonly most?: number;
}

export type IdKey = readonly [id: string];
export type OwnedKey = readonly [owner: string, id: string];

export const recordKind = <S extends TSchema, Key extends readonly string[]>(
  bucket: string,
  schema: S,
  subject: (...key: Key) => string,
  options: Omit<RecordKind<never, never>, 'bucket' | 'schema' | 'subject'> = {},
): RecordKind<S, Readonly<Key>> => ({ bucket, schema, subject, ...options });
