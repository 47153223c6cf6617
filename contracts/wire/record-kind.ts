import type { TSchema } from 'typebox';

/** A kind of record in a KV bucket. The store of the records and the stream of the bucket (topology.ts) follow from this one statement. */
export interface RecordKind<S extends TSchema, Key extends readonly string[]> {
  readonly bucket: string;
  readonly schema: S;
  /** Where the record of a key is stored. `*` as the last part stands for all that share the parts before it. */
  readonly subject: (...key: Key) => string;
  /** Seconds until a record that is not written again expires. Absent: never. */
  readonly ttlS?: number;
  /** Seconds until the mark of a deletion expires; 0: never. Absent: a deletion leaves no mark. */
  readonly markS?: number;
  /** The broker republishes every change. Absent: who keeps the records in memory reads each change from the stream. */
  readonly watched?: true;
  /** How many records may differ in the last part of their keys alone: how many an owner may have. Absent: any number. */
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
