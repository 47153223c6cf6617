import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CHECK_INTERVAL_MS = 250;
const MAX_RESERVED_BYTES = 64 * 1024 * 1024;
const RESERVED_SHARE = 0.02;
/** A file system may have free bytes and no free inode. */
const MIN_FREE_FILES = 100;
const PROBE_BYTES = 1024 * 1024;
const OUT_OF_SPACE: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Tells whether the file systems of some folders have space for more work. It holds back a reserve (2 %, at most 64 MiB), so that accepted tasks
 * can finish and be recorded. `statfs` does not show quotas. After a failed write, call `suspect`, which tests by writing until a write succeeds.
 */
export class DiskSpace {
  readonly #folders: readonly string[];
  readonly #takesWrites: typeof takesWrites;
  #lookedAt = -Infinity;
  #full: string | undefined;
  #suspected = false;

  /** @param folders those that do not exist are ignored */
  constructor(folders: readonly string[], tryToWrite = takesWrites) {
    this.#folders = folders;
    this.#takesWrites = tryToWrite;
  }

  /** @returns a folder whose disk is full, or undefined if there is space */
  full(): string | undefined {
    if (performance.now() - this.#lookedAt < CHECK_INTERVAL_MS) return this.#full;
    this.#lookedAt = performance.now();
    this.#full = this.#folders.find(isFull);
    if (this.#full === undefined && this.#suspected)
      this.#full = this.#folders.find((folder) => !this.#takesWrites(folder));
    this.#suspected &&= this.#full !== undefined;
    return this.#full;
  }

  /** Checks again, by writing. Call it when something could not be stored. @returns as `full` */
  suspect(): string | undefined {
    this.#suspected = true;
    this.#lookedAt = -Infinity;
    return this.full();
  }
}

/** Whether the disk and its quotas allow another MiB. Returns true if the write fails for another reason. */
export function takesWrites(folder: string): boolean {
  const probe = join(folder, `.room-${process.pid}`);
  try {
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES), { mode: 0o600 });
    return true;
  } catch (error) {
    return !OUT_OF_SPACE.has((error as NodeJS.ErrnoException).code);
  } finally {
    rmSync(probe, { force: true });
  }
}

function isFull(folder: string): boolean {
  try {
    const { bavail, blocks, bsize, ffree, files } = statfsSync(folder);
    // Some file systems report no size, or no number of files.
    if (files > 0 && ffree < Math.min(MIN_FREE_FILES, files * RESERVED_SHARE)) return true;
    return blocks > 0 && bavail * bsize < Math.min(MAX_RESERVED_BYTES, blocks * bsize * RESERVED_SHARE);
  } catch {
    return false; // The folder is on another host, or the system does not support statfs.
  }
}

/** The folders to which a cluster on this host writes. Each may be a separate file system. */
export const dataFolders = (dir: string): string[] => [
  dir,
  ...['store', 'store-1', 'store-2', 'store-3'].map((store) => join(dir, 'nats', store)),
];
