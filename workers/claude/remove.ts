import { randomUUID } from 'node:crypto';
import { chmod, lstat, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import type { Dir, Dirent } from 'node:fs';

/** What could not be removed. */
export interface Left {
  readonly path: string;
  /** The code of the system's error, such as EPERM at an immutable file. */
  readonly reason: string;
}

/** Bytes: names need not be UTF-8. */
type Path = Buffer<ArrayBuffer>;

/** Half of what a path may have: a deeper folder moves up before it is removed. */
const LONGEST_PATH = 2_048;
/** More are not named: a run may leave millions. */
const MOST_NAMED = 10;
/** How often a folder is listed anew. */
const MOST_REPEATS = 100;
/** Files that are removed at once. */
const AT_ONCE = 32;

/**
 * Removes all that a run may have left at `path`: folders without permissions (Go's module cache has them), names that are no UTF-8, paths that
 * are too long, millions of files. Links are removed and never followed. One item that stays does not keep the others.
 * @returns what is still there, or the first of it; empty when nothing is. Never rejects.
 */
export async function removeAll(path: string): Promise<Left[]> {
  const left: Left[] = [];
  const fail = (at: Path, error: unknown): void => {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && left.length < MOST_NAMED) left.push({ path: at.toString(), reason: code });
  };
  const top = Buffer.from(path);
  let again = MOST_REPEATS;
  const pending = [{ path: top, emptied: false }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    try {
      if (next.emptied) {
        await rmdir(next.path);
      } else if (!(await lstat(next.path)).isDirectory()) {
        await unlink(next.path);
      } else {
        const folder = await opened(next.path, top);
        pending.push({ path: folder, emptied: true });
        for (const inner of await emptied(folder, fail)) pending.push({ path: inner, emptied: false });
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') fail(next.path, error);
      // Its content has been named, unless the file system missed some of it in a list that changed as it was read.
      else if (left.length === 0 && again-- > 0) pending.push({ path: next.path, emptied: false });
      else if (left.length === 0) fail(next.path, error);
    }
  }
  return left;
}

/** Makes a folder readable and writable, and its path short enough. @returns where it is now. */
async function opened(folder: Path, top: Path): Promise<Path> {
  await chmod(folder, 0o700).catch(() => undefined); // Another user's may be writable nevertheless.
  if (folder.length <= LONGEST_PATH) return folder;
  const moved = within(top, Buffer.from(randomUUID()));
  await rename(folder, moved);
  return moved;
}

/** Removes all files of a folder. @returns its folders. */
async function emptied(folder: Path, fail: (path: Path, error: unknown) => void): Promise<Path[]> {
  const folders: Path[] = [];
  let removing: Promise<void>[] = [];
  for await (const entry of entries(await opendir(folder, { encoding: 'buffer' as BufferEncoding }))) {
    const path = within(folder, entry.name);
    if (entry.isDirectory()) {
      folders.push(path);
      continue;
    }
    removing.push(unlink(path).catch((error: unknown) => fail(path, error)));
    if (removing.length < AT_ONCE) continue;
    await Promise.all(removing);
    removing = [];
  }
  await Promise.all(removing);
  return folders;
}

/** The types of Node know names as text only. */
const entries = (folder: Dir): AsyncIterable<Pick<Dirent, 'isDirectory'> & { readonly name: Path }> =>
  folder as AsyncIterable<unknown> as ReturnType<typeof entries>;

const within = (folder: Path, name: Path): Path => Buffer.concat([folder, Buffer.from('/'), name]);
