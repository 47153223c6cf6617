import { closeSync, constants, fstatSync, openSync, type BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { openFolder, type OpenFolder } from '../claude/open-folder.js';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Identifies files and folders that must not be read. Names would not: a bind mount or hard link has another. */
export type Hidden = (stat: BigIntStats) => boolean;

/** A file that is held open. */
export interface OpenFile {
  readonly fd: number;
  readonly stat: BigIntStats;
  close(): void;
}

/** Nothing that may be read has this path: it does not exist, is hidden, or is reached by a symbolic link. */
export class NotThere extends Error {
  override readonly name = 'NotThere';
}

/**
 * Opens a folder below a working folder. Each part of the path is opened in the folder that is open already, and never through a symbolic
 * link: a run may replace folders by links at any time.
 * @param path relative; `''` is the working folder. @throws {NotThere} @throws {FolderMoved}
 */
export function openFolderBelow(root: string, path: string, isHidden: Hidden): OpenFolder {
  let folder = openFolder(root);
  for (const name of partsOf(path, () => folder.close())) {
    try {
      const next = openIn(folder, name, isHidden);
      folder.close();
      folder = next;
    } catch (error) {
      folder.close();
      throw error;
    }
  }
  return folder;
}

/** Opens a folder in an open one. @throws {NotThere} */
export function openIn(folder: OpenFolder, name: string, isHidden: Hidden): OpenFolder {
  const path = join(folder.path, name);
  const fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const close = (): void => closeSync(fd);
  if (isHidden(fstatSync(fd, { bigint: true }))) {
    close();
    throw new NotThere();
  }
  return { fd, path: process.platform === 'linux' ? `/proc/self/fd/${fd}` : path, close };
}

/** Opens an ordinary file in an open folder. A pipe does not block. @throws {NotThere} */
export function openFileIn(folder: OpenFolder, name: string, isHidden: Hidden): OpenFile {
  const fd = open(join(folder.path, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const close = (): void => closeSync(fd);
  const stat = fstatSync(fd, { bigint: true });
  if (stat.isFile() && !isHidden(stat)) return { fd, stat, close };
  close();
  throw new NotThere();
}

/** @throws {NotThere} if a part could lead out of the folder */
function partsOf(path: string, onFault: () => void): string[] {
  const parts = path === '' ? [] : path.split('/');
  if (parts.every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0'))) return parts;
  onFault();
  throw new NotThere();
}

function open(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // ELOOP and ENOTDIR: a link, or a file in place of a folder. ENXIO: a socket or device.
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EMLINK', 'ENXIO', 'EACCES', 'EPERM', 'ENAMETOOLONG'].includes(code))
      throw new NotThere(code, { cause: error });
    throw error;
  }
}
