interface Page {
  readonly next_cursor?: string;
}

/** All items of a list that KSI gives in pages. @param read what is given goes into the request. */
export async function* pages<P extends Page, Item>(
  read: (cursor: { cursor?: string }) => Promise<P>,
  items: (page: P) => readonly Item[],
): AsyncGenerator<Item> {
  for (let cursor: string | undefined; ;) {
    const page = await read(cursor === undefined ? {} : { cursor });
    yield* items(page);
    cursor = page.next_cursor;
    if (cursor === undefined) return;
  }
}
