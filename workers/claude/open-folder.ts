import { closeSync, constants, openSync, readlinkSync, realpathSync } from 'node:fs';

/** A folder that is held open, so that nothing can replace it by taking its name. */
export interface OpenFolder {
  readonly fd: number;
  /** A path to the folder itself, valid while the folder is open. */
  readonly path: string;
  close(): void;
}

/** A run's working folder was moved or replaced since it was checked. */
export class FolderMoved extends Error {
  override readonly name = 'FolderMoved';
}

/** @param path its real path. @throws {FolderMoved} when no folder has that real path any more. */
export function openFolder(path: string): OpenFolder {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    throw new FolderMoved(`${path} is no folder any more`, { cause: error });
  }
  const linux = process.platform === 'linux';
  const real = linux ? readlinkSync(`/proc/self/fd/${fd}`) : realpathSync(path);
  if (real !== path) {
    closeSync(fd);
    throw new FolderMoved(`${path} now leads to ${real}`);
  }
  return { fd, path: linux ? `/proc/self/fd/${fd}` : path, close: () => closeSync(fd) };
}
