import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { BigIntStats } from 'node:fs';
import type { FileEntry } from '../../contracts/sessions/files.js';
import type { OpenFolder } from '../claude/open-folder.js';
import { NotThere, openIn, type Hidden } from './open-below.js';

export interface Listing {
  readonly recursive: boolean;
  /** Lists only what follows this path. */
  readonly after: string | undefined;
  readonly isHidden: Hidden;
  readonly signal: AbortSignal;
}

/** Deeper folders are listed, but not their contents: each level holds a descriptor open. */
const MAX_DEPTH = 64;

/**
 * Yields the entries of a folder, sorted, each folder before its contents. Leaves out entries that are hidden, vanish meanwhile or have no
 * UTF-8 name.
 * @param prefix the folder's own path, with a `/` at its end, or `''`
 */
export async function* listFolder(folder: OpenFolder, prefix: string, listing: Listing): AsyncGenerator<FileEntry> {
  yield* list(folder, prefix, listing, listing.after?.slice(prefix.length).split('/') ?? [], 0);
}

async function* list(
  folder: OpenFolder,
  prefix: string,
  listing: Listing,
  [from, ...below]: readonly string[],
  depth: number,
): AsyncGenerator<FileEntry> {
  const { recursive, isHidden, signal } = listing;
  const names = await readdir(folder.path);
  for (const name of names.toSorted(byCodeUnits)) {
    signal.throwIfAborted();
    if (from !== undefined && byCodeUnits(name, from) < 0) continue;
    // `after` is this entry or lies below it.
    const begun = name === from;
    const stat = await lstat(join(folder.path, name), { bigint: true }).catch(() => undefined);
    if (stat === undefined || isHidden(stat)) continue;
    if (!begun) yield await entryOf(join(folder.path, name), prefix + name, stat);
    if (!recursive || !stat.isDirectory() || depth === MAX_DEPTH) continue;
    const inner = opened(() => openIn(folder, name, isHidden));
    if (inner === undefined) continue;
    try {
      yield* list(inner, `${prefix}${name}/`, listing, begun ? below : [], depth + 1);
    } finally {
      inner.close();
    }
  }
}

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** A file may have any time; dates of more than four digits have no standard form. */
const LAST_TIME = Date.UTC(9999, 11, 31);

async function entryOf(at: string, path: string, stat: BigIntStats): Promise<FileEntry> {
  const target = stat.isSymbolicLink() ? await readlink(at).catch(() => undefined) : undefined;
  return {
    path,
    type: stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'other',
    bytes: stat.isFile() ? Number(stat.size) : 0,
    mode: Number(stat.mode) & 0o7777,
    modified_at: new Date(Math.min(Math.max(Number(stat.mtimeMs), 0), LAST_TIME)).toISOString(),
    ...(target === undefined ? {} : { target }),
  };
}

function opened<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof NotThere) return undefined;
    throw error;
  }
}
