import { PAGE_ITEMS, type CreatedFilter, type Page, type PageQuery } from '../../contracts/wire/page.js';
import { ApiError } from '../errors/api-error.js';

/** The cursor of the page after the item with this key. It names its list, so that no other list accepts it. */
const pageCursor = (list: string, key: string): string => Buffer.from(`${list} ${key}`).toString('base64url');

/** The key of the item before the page; undefined: the first page. @throws {ApiError} invalid_cursor */
export function keyBefore(list: string, cursor: string | undefined, pattern?: RegExp): string | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, 'base64url').toString();
  const key = text.slice(list.length + 1);
  if (!text.startsWith(`${list} `) || pattern?.test(key) === false)
    throw new ApiError('invalid_cursor', 'KSI did not make this cursor for this list', {
      faults: [{ field: 'cursor', message: 'must be the `next_cursor` of an earlier page of this list' }],
    });
  return key;
}

/** A page, and the key of its last item if more follow. */
export const pageWith = <T>(list: string, items: T[], next: string | undefined): Page<T> => ({
  items,
  ...(next === undefined ? {} : { next_cursor: pageCursor(list, next) }),
});

/** A page of items that are all at hand, by their keys. @throws {ApiError} invalid_cursor */
export function pageOfAll<T>(
  list: string,
  items: readonly T[],
  key: (item: T) => string,
  { limit = PAGE_ITEMS, cursor }: PageQuery,
): Page<T> {
  const before = keyBefore(list, cursor) ?? '';
  const rest = items
    .map((item) => ({ key: key(item), item }))
    .filter((each) => each.key > before)
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const page = rest.slice(0, limit);
  const next = rest.length > limit ? page.at(-1)?.key : undefined;
  return pageWith(
    list,
    page.map(({ item }) => item),
    next,
  );
}

/** Whether a time (ISO 8601) is in a range, the beginning included. */
export const within = (time: string, after: string | undefined, before: string | undefined): boolean =>
  (after === undefined || Date.parse(time) >= Date.parse(after)) &&
  (before === undefined || Date.parse(time) < Date.parse(before));

export const createdWithin = (time: string, { created_after: after, created_before: before }: CreatedFilter): boolean =>
  within(time, after, before);
