import { Type, type Static, type TProperties, type TSchema } from 'typebox';
import { METADATA_QUERY_PATTERN } from './metadata.js';
import { OWNER_PATTERN } from './names.js';

/** How many items a page has unless its request says otherwise. */
export const PAGE_ITEMS = 50;
/** A cursor holds a key of at most this many bytes, in base64url. */
const MAX_CURSOR_CHARS = 2_048;

/** The part of a list to read. */
export const pageFields = {
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 500, default: PAGE_ITEMS, description: 'The most items on the page.' }),
  ),
  cursor: Type.Optional(
    Type.String({ maxLength: MAX_CURSOR_CHARS, description: 'The `next_cursor` of the previous page.' }),
  ),
};

const closed = { additionalProperties: false };

/** The query of a list. @param filters which items it has. */
export const pageQuery = <F extends TProperties>(filters: F) => Type.Object({ ...filters, ...pageFields }, closed);
export const PageQuery = pageQuery({});
export type PageQuery = Static<typeof PageQuery>;

export const nextCursor = Type.Optional(
  Type.String({ description: 'The cursor of the next page. Absent: this is the last page.' }),
);

/** The answer of every list. @param about facts about the whole list. */
export const pageOf = <T extends TSchema, A extends TProperties>(item: T, about: A) =>
  Type.Object({ items: Type.Array(item), next_cursor: nextCursor, ...about });
export interface Page<T> {
  items: T[];
  next_cursor?: string;
}

/** The filters of lists. Each has one meaning, whichever list has it. */
export const ownerFilter = {
  owner: Type.Optional(
    Type.String({
      pattern: OWNER_PATTERN,
      description: 'Only this owner. Another owner than your own needs a token that sees all owners.',
    }),
  ),
};

export const metadataFilter = {
  metadata: Type.Optional(
    Type.String({ pattern: METADATA_QUERY_PATTERN, description: 'Only items with this metadata: `name:value`.' }),
  ),
};

/** One status or several. */
export const statusFilter = <S extends string>(statuses: readonly S[]) => ({
  status: Type.Optional(
    Type.Array(Type.Unsafe<S>(Type.Enum([...statuses])), {
      minItems: 1,
      uniqueItems: true,
      description: 'Only items with one of these statuses. A URL separates them by commas.',
    }),
  ),
});

const time = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }));

export const createdFilter = {
  created_after: time('Only items created at this time or later.'),
  created_before: time('Only items created before this time.'),
};
export type CreatedFilter = { [N in keyof typeof createdFilter]?: string };

export const endedFilter = {
  ended_after: time('Only items that ended at this time or later.'),
  ended_before: time('Only items that ended before this time.'),
};
