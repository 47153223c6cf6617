import { Type, type Static } from 'typebox';
import { BlobRef } from '../wire/blob.js';
import { ownerFilter, pageOf, pageQuery } from '../wire/page.js';
import { BUCKET, SUBJECT } from '../wire/names.js';
import { expectedRevision, revision } from '../wire/revision.js';
import { recordKind } from '../wire/record-kind.js';

const closed = { additionalProperties: false };

/** The limit on the characters of a key. Control characters are not allowed, nor are `.` and `..`, which a browser reads as path segments. */
export const MAX_SHARED_KEY_CHARS = 256;
export const SHARED_KEY_PATTERN = '^(?!\\.{1,2}$)[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]{1,256}$';

const key = Type.String({
  minLength: 1,
  maxLength: MAX_SHARED_KEY_CHARS,
  pattern: SHARED_KEY_PATTERN,
  description: 'Any text, percent-encoded in a path.',
});

export const SharedParams = Type.Object({ key }, closed);
export type SharedParams = Static<typeof SharedParams>;
export const SharedQuery = Type.Object(ownerFilter, closed);
export type SharedQuery = Static<typeof SharedQuery>;

export const SharedSet = Type.Object(
  {
    value: Type.Unknown({ description: 'Any JSON. Numbers are doubles, as in JavaScript.' }),
    ...expectedRevision,
  },
  closed,
);
export type SharedSet = Static<typeof SharedSet>;

export const SharedDelete = Type.Object(expectedRevision, closed);
export type SharedDelete = Static<typeof SharedDelete>;

const entryFields = {
  key: Type.String(),
  revision,
  updated_at: Type.String({ format: 'date-time' }),
  by: Type.Optional(Type.String({ description: 'The agent that set the value. Absent if a person did.' })),
  size: Type.Integer({ minimum: 0, description: 'Size of the JSON in bytes.' }),
};

/** An entry of GET /shared, without the value. */
export const SharedEntry = Type.Object(entryFields);
export type SharedEntry = Static<typeof SharedEntry>;

export const SharedValue = Type.Object({ ...entryFields, value: Type.Unknown() });
export type SharedValue = Static<typeof SharedValue>;

export const SharedListQuery = pageQuery({
  prefix: Type.Optional(Type.String({ maxLength: MAX_SHARED_KEY_CHARS, description: 'Only keys with this prefix.' })),
  ...ownerFilter,
});
export type SharedListQuery = Static<typeof SharedListQuery>;

/** By key. */
export const SharedPage = pageOf(SharedEntry, {});
export type SharedPage = Static<typeof SharedPage>;

/** An entry of `ksi_shared`, at `<owner>.<token of the key>`. */
export const SharedRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  key: Type.String(),
  owner: Type.String(),
  updated_at: Type.String({ format: 'date-time' }),
  by: Type.Optional(Type.String()),
  size: Type.Integer({ minimum: 0 }),
  value: Type.Optional(Type.Unknown()),
  ref: Type.Optional(BlobRef),
});
export type SharedRecord = Static<typeof SharedRecord>;

export const SHARED_RECORDS = recordKind(BUCKET.shared, SharedRecord, SUBJECT.shared, { markS: 86_400, most: 20_000 });
