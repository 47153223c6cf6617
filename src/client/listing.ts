/**
 * A list in pages: awaited, it is the first page, as KSI answers it; iterated over (`for await`), each item of it and of all pages after it,
 * which are asked for as they are come to.
 */
export type Listing<Page, Item> = Promise<Page> & AsyncIterable<Item>;

interface Pages<Page, Item> {
  /** @param cursor of the page before; undefined: the first one. */
  readonly read: (cursor: string | undefined) => Promise<Page>;
  readonly items: (page: Page) => readonly Item[];
  /** The cursor of the page after it; undefined: it is the last one. */
  readonly next?: (page: Page) => string | undefined;
}

export function listing<Page, Item>({ read, items, next }: Pages<Page, Item>): Listing<Page, Item> {
  const first = read(undefined);
  return Object.assign(first, {
    async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
      for (let page = await first; ;) {
        yield* items(page);
        const cursor = next?.(page);
        if (cursor === undefined) return;
        page = await read(cursor);
      }
    },
  });
}

/** `cursor` as a field of a query, where there is one. */
export const atCursor = (cursor: string | undefined): { cursor?: string } => (cursor === undefined ? {} : { cursor });
