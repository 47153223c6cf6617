import { statfsSync } from 'node:fs';
import { join } from 'node:path';

const LOOK_MS = 250;
const MOST_RESERVED_BYTES = 64 * 1024 * 1024;
const RESERVED_SHARE = 0.02;

/**
 * Whether the file systems of some folders have room for more work. A reserve is kept back (2 %, at most 64 MiB), so that the tasks that
 * were accepted can still be finished and recorded.
 */
export class DiskRoom {
  readonly #folders: readonly string[];
  #lookedAt = -Infinity;
  #full: string | undefined;

  /** @param folders those that do not exist are left out. */
  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  /** @returns a folder whose disk is full; undefined when there is room. */
  full(): string | undefined {
    if (performance.now() - this.#lookedAt < LOOK_MS) return this.#full;
    this.#lookedAt = performance.now();
    this.#full = this.#folders.find(isFull);
    return this.#full;
  }
}

function isFull(folder: string): boolean {
  try {
    const { bavail, blocks, bsize } = statfsSync(folder);
    // Some virtual file systems have no size.
    return blocks > 0 && bavail * bsize < Math.min(MOST_RESERVED_BYTES, blocks * bsize * RESERVED_SHARE);
  } catch {
    return false; // The broker is elsewhere, or the system does not tell.
  }
}

/** What a cluster on this host writes to; each may be a file system of its own. */
export const dataFolders = (dir: string): string[] => [
  dir,
  ...['store', 'store-1', 'store-2', 'store-3'].map((store) => join(dir, 'nats', store)),
];
