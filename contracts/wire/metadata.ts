import { Type, type Static } from 'typebox';

/** A client's own data for finding tasks: `GET /tasks?metadata=ticket:4711`. KSI does not interpret it. */
export const Metadata = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }),
  Type.String({ maxLength: 256 }),
  {
    additionalProperties: false,
    maxProperties: 16,
    description: 'Your own data, by which tasks can be searched. Names consist of `A-Z a-z 0-9 _ . -`.',
    examples: [{ ticket: '4711' }],
  },
);
export type Metadata = Static<typeof Metadata>;

export const METADATA_QUERY_PATTERN = '^[A-Za-z0-9_.-]{1,64}:.{0,256}$';

/** Parses `name:value` (METADATA_QUERY_PATTERN). */
export function metadataQuery(text: string): { name: string; value: string } {
  const at = text.indexOf(':');
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}
