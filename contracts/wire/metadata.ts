import { Type, type Static } from 'typebox';

/** What a client wants to find a task by: `GET /tasks?metadata=ticket:4711`. KSI gives it no meaning. */
export const Metadata = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }),
  Type.String({ maxLength: 256 }),
  {
    additionalProperties: false,
    maxProperties: 16,
    description: 'Yours; tasks can be searched by it. Names of `A-Z a-z 0-9 _ . -`.',
    examples: [{ ticket: '4711' }],
  },
);
export type Metadata = Static<typeof Metadata>;

export const METADATA_QUERY_PATTERN = '^[A-Za-z0-9_.-]{1,64}:.{0,256}$';

/** `name:value`, as METADATA_QUERY_PATTERN has it. */
export function metadataQuery(text: string): { name: string; value: string } {
  const at = text.indexOf(':');
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}
