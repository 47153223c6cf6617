import type { AnswerOf, OperationName, RequestOf } from '../../contracts/api/operations.js';
import type { Page } from '../../contracts/wire/page.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * A paged list. `await` gives the first page (50 items unless the request has a `limit`). `for await` yields the items of all pages and requests
 * each page when it is needed. `all` reads all pages into an array.
 */
export type Listing<P, Item = P extends Page<infer I> ? I : never> = Promise<P> &
  AsyncIterable<Item> & { all(): Promise<Item[]> };

/** The operations that answer with a page of items. */
export type ListName = {
  [N in OperationName]: AnswerOf<N> extends Page<unknown> ? N : never;
}[OperationName];

export const listing = <N extends ListName>(
  transport: Pick<Transport, 'call'>,
  name: N,
  request: RequestOf<N>,
  options: CallOptions = {},
): Listing<AnswerOf<N>> =>
  paged(
    (cursor) => transport.call(name, { ...request, ...cursor }, options),
    ({ items }) => items as ItemOf<N>[],
  );

type ItemOf<N extends ListName> = AnswerOf<N> extends Page<infer I> ? I : never;

/** Builds a listing. @param read requests a page; its argument is part of the request. */
export function paged<P extends { readonly next_cursor?: string }, Item>(
  read: (cursor: { cursor?: string }) => Promise<P>,
  items: (page: P) => readonly Item[],
): Listing<P, Item> {
  const first = read({});
  async function* pages(): AsyncGenerator<readonly Item[]> {
    for (let page = await first; ;) {
      yield items(page);
      if (page.next_cursor === undefined) return;
      page = await read({ cursor: page.next_cursor });
    }
  }
  return Object.assign(first, {
    async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
      for await (const page of pages()) yield* page;
    },
    async all(): Promise<Item[]> {
      const all: Item[] = [];
      for await (const page of pages()) all.push(...page);
      return all;
    },
  });
}
