import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LOOK_MS = 250;
const MOST_RESERVED_BYTES = 64 * 1024 * 1024;
const RESERVED_SHARE = 0.02;
/** A file system may have bytes left and take no further file. */
const FEWEST_FILES = 100;
const PROBE_BYTES = 1024 * 1024;
const NO_ROOM: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Whether the file systems of some folders have room for more work. A reserve is kept back (2 %, at most 64 MiB), so that the tasks that
 * were accepted can still be finished and recorded. The system does not tell what a quota leaves: once a write has failed, `suspect` has
 * writes tried until they succeed.
 */
export class DiskRoom {
  readonly #folders: readonly string[];
  readonly #takesWrites: typeof takesWrites;
  #lookedAt = -Infinity;
  #full: string | undefined;
  #suspected = false;

  /** @param folders those that do not exist are left out. */
  constructor(folders: readonly string[], tryToWrite = takesWrites) {
    this.#folders = folders;
    this.#takesWrites = tryToWrite;
  }

  /** @returns a folder whose disk is full; undefined when there is room. */
  full(): string | undefined {
    if (performance.now() - this.#lookedAt < LOOK_MS) return this.#full;
    this.#lookedAt = performance.now();
    this.#full = this.#folders.find(isFull);
    if (this.#full === undefined && this.#suspected)
      this.#full = this.#folders.find((folder) => !this.#takesWrites(folder));
    this.#suspected &&= this.#full !== undefined;
    return this.#full;
  }

  /** Looks again, by writing, as something was not stored. @returns as `full`. */
  suspect(): string | undefined {
    this.#suspected = true;
    this.#lookedAt = -Infinity;
    return this.full();
  }
}

/** Whether the disk and its quotas take another MiB. What keeps files from being written for another reason counts as room. */
export function takesWrites(folder: string): boolean {
  const probe = join(folder, `.room-${process.pid}`);
  try {
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES), { mode: 0o600 });
    return true;
  } catch (error) {
    return !NO_ROOM.has((error as NodeJS.ErrnoException).code);
  } finally {
    rmSync(probe, { force: true });
  }
}

function isFull(folder: string): boolean {
  try {
    const { bavail, blocks, bsize, ffree, files } = statfsSync(folder);
    // Some file systems have no size, or no number of files.
    if (files > 0 && ffree < Math.min(FEWEST_FILES, files * RESERVED_SHARE)) return true;
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
