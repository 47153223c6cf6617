import { randomUUID } from 'node:crypto';
import { chmod, lstat, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import type { Dir, Dirent } from 'node:fs';

/** A file or folder that could not be removed. */
export interface Left {
  readonly path: string;
  /** The system's error code, such as EPERM for an immutable file. */
  readonly reason: string;
}

/** Paths are bytes: names need not be UTF-8. */
type Path = Buffer<ArrayBuffer>;

/** Half of the longest path. Deeper folders are moved up before they are removed. */
const MAX_PATH = 2_048;
/** The most leftovers that are reported: a run may leave millions. */
const MAX_NAMED = 10;
/** How often a folder is listed again. */
const MAX_REPEATS = 100;
/** How many files are removed concurrently. */
const AT_ONCE = 32;

/**
 * Removes everything at `path`, including folders without permissions (as in Go's module cache), names that are not UTF-8, paths that are too
 * long, and millions of files. Links are removed and never followed. An item that cannot be removed does not stop the removal of others.
 * @returns the first items that could not be removed. Never rejects.
 */
export async function removeAll(path: string): Promise<Left[]> {
  const left: Left[] = [];
  const fail = (at: Path, error: unknown): void => {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && left.length < MAX_NAMED) left.push({ path: at.toString(), reason: code });
  };
  const top = Buffer.from(path);
  let again = MAX_REPEATS;
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
      // Its contents are already reported, unless the list changed while it was read and missed some.
      else if (left.length === 0 && again-- > 0) pending.push({ path: next.path, emptied: false });
      else if (left.length === 0) fail(next.path, error);
    }
  }
  return left;
}

/** Makes a folder readable and writable, and its path short enough. @returns its current path. */
async function opened(folder: Path, top: Path): Promise<Path> {
  await chmod(folder, 0o700).catch(() => undefined); // Another user's folder may still be writable.
  if (folder.length <= MAX_PATH) return folder;
  const moved = within(top, Buffer.from(randomUUID()));
  await rename(folder, moved);
  return moved;
}

/** Removes all files in a folder. @returns the folders in it. */
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

/** Node's types only allow names that are text. */
const entries = (folder: Dir): AsyncIterable<Pick<Dirent, 'isDirectory'> & { readonly name: Path }> =>
  folder as AsyncIterable<unknown> as ReturnType<typeof entries>;

const within = (folder: Path, name: Path): Path => Buffer.concat([folder, Buffer.from('/'), name]);
