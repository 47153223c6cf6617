import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import {
  MAX_ARCHIVE_BYTES,
  MAX_ARCHIVE_ENTRIES,
  type ArchiveQuery,
  type DiffQuery,
  type FileEntry,
  type FilePage,
  type FileQuery,
  type FilesQuery,
} from '../../../contracts/sessions/files.js';
import { MAX_DIFF_BYTES, PIECE_BYTES } from '../../../contracts/sessions/worker-files.js';
import { PAGE_ITEMS } from '../../../contracts/wire/page.js';
import type { Principal } from '../../access/principal.js';
import { ApiError } from '../../errors/api-error.js';
import { keyBefore, pageWith } from '../../lists/page.js';
import { paddingOf, TAR_END, tarHeader } from './tar.js';
import type { FolderSource, SourceFinder } from './source.js';

type Bytes = ReadableStream<Uint8Array>;
type Request<Q> = Q & { readonly id: string };

const decompress = promisify(gunzip);

/** The files in the working folders of sessions, read through the workers that have the folders. */
export class SessionFiles {
  readonly #find: SourceFinder;

  constructor(find: SourceFinder) {
    this.#find = find;
  }

  /** @throws {ApiError} */
  async list(query: Request<FilesQuery>, principal: Principal): Promise<FilePage> {
    const { id, path = '', recursive = false, limit = PAGE_ITEMS, cursor } = query;
    const after = keyBefore('files', cursor);
    const source = await this.#find(id, principal);
    const { entries, more } = await source.ask('list', {
      path,
      recursive,
      limit,
      ...(after === undefined ? {} : { after }),
    });
    return pageWith('files', entries, more ? entries.at(-1)?.path : undefined);
  }

  /** @throws {ApiError} */
  async read({ id, path, offset = 0, length = Infinity }: Request<FileQuery>, principal: Principal): Promise<Bytes> {
    return streamOf(contentsOf(await this.#find(id, principal), path, offset, length));
  }

  /** @throws {ApiError} */
  async archive({ id, path = '' }: Request<ArchiveQuery>, principal: Principal): Promise<Bytes> {
    const source = await this.#find(id, principal);
    return streamOf(tarOf(source, await entriesBelow(source, path)));
  }

  /** @throws {ApiError} */
  async diff({ id, base = 'HEAD' }: Request<DiffQuery>, principal: Principal): Promise<Bytes> {
    const source = await this.#find(id, principal);
    const { data } = await source.ask('diff', { base });
    return new Blob([await decompress(Buffer.from(data, 'base64'), { maxOutputLength: MAX_DIFF_BYTES })]).stream();
  }
}

/** The contents of a file, in pieces. The file may grow or shrink meanwhile. */
async function* contentsOf(source: FolderSource, path: string, from: number, most: number): AsyncGenerator<Uint8Array> {
  for (let at = from, left = most; left > 0;) {
    const length = Math.min(left, PIECE_BYTES);
    const { data } = await source.ask('read', { path, offset: at, length });
    const piece = Buffer.from(data, 'base64');
    if (piece.length > 0) yield piece;
    if (piece.length < length) return;
    at += piece.length;
    left -= piece.length;
  }
}

/** @throws {ApiError} files_too_large */
async function entriesBelow(source: FolderSource, path: string): Promise<FileEntry[]> {
  const all: FileEntry[] = [];
  let bytes = 0;
  for (let after: string | undefined; ;) {
    const position = after === undefined ? {} : { after };
    const { entries, more } = await source.ask('list', { path, recursive: true, limit: 1_000, ...position });
    all.push(...entries);
    bytes += entries.reduce((sum, entry) => sum + entry.bytes, 0);
    if (bytes > MAX_ARCHIVE_BYTES || all.length > MAX_ARCHIVE_ENTRIES)
      throw new ApiError(
        'files_too_large',
        `An archive has at most ${MAX_ARCHIVE_BYTES} bytes and ${MAX_ARCHIVE_ENTRIES} entries, and the folder has more`,
      );
    after = entries.at(-1)?.path;
    if (!more || after === undefined) return all;
  }
}

async function* tarOf(source: FolderSource, entries: readonly FileEntry[]): AsyncGenerator<Uint8Array> {
  for (const entry of entries) {
    if (entry.type === 'file') yield* fileInTar(source, entry);
    else if (entry.type !== 'other') yield tarHeader(entry);
  }
  yield TAR_END;
}

/** Omits a file that no longer exists. Pads a file that shrank after the listing with zeros, as tar does. */
async function* fileInTar(source: FolderSource, entry: FileEntry): AsyncGenerator<Uint8Array> {
  let sent = 0;
  try {
    for await (const piece of contentsOf(source, entry.path, 0, entry.bytes)) {
      if (sent === 0) yield tarHeader(entry);
      sent += piece.length;
      yield piece;
    }
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'file_not_found') throw error;
    if (sent === 0) return;
  }
  if (sent === 0) yield tarHeader(entry);
  for (let left = entry.bytes - sent; left > 0; left -= PIECE_BYTES) yield new Uint8Array(Math.min(left, PIECE_BYTES));
  yield paddingOf(entry.bytes);
}

/** Turns chunks into a stream. Waits for the first chunk, so that an error before it becomes the answer. */
async function streamOf(chunks: AsyncGenerator<Uint8Array>): Promise<Bytes> {
  const first = await chunks.next();
  let pending: IteratorResult<Uint8Array> | undefined = first;
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const { done, value } = pending ?? (await chunks.next());
      pending = undefined;
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel: async () => void (await chunks.return(undefined)),
  });
}
