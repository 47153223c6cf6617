import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';

/** The most that a transaction writes. */
export interface WriteSize {
  /** Puts and removals, those in indexes included. */
  readonly entries: number;
  /** The bytes of all keys and values together. */
  readonly bytes: number;
}

const PAGE_BYTES = 4096;
/** A put or removal copies its leaf, may split it, and has its share of the branches above. */
const PAGES_PER_ENTRY = 3;
/** Further pages that every transaction may write: the meta page, the branches, the list of free pages. */
const PAGES_PER_WRITE = 32;
/** A value takes whole pages, and pages may be half full. */
const PAGE_BYTES_PER_BYTE = 4;
/** The file grows by more than is needed, so that it grows seldom. */
const GROW_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(256 * 1024);
/** More than LMDB makes of it for its 126 readers. */
const LOCK_FILE_BYTES = 12 * 1024;

/**
 * An LMDB file that never meets a full disk. When LMDB itself cannot write a page, lmdb-js overruns a buffer of its error text and takes
 * the process down (docs/design/facts.md#lmdb-error-text). So the pages that a transaction may need are allocated before it begins, and when the disk
 * has none, the write is refused with ENOSPC and LMDB is not asked.
 */
export class LmdbFile {
  readonly root: RootDatabase<unknown, string>;
  readonly #path: string;
  #size = 0;
  /** Bytes of the file that are free and reserved for no write. */
  #left = 0;
  /** Bytes that are reserved for writes under way. */
  #pending = 0;

  /** @param path of the file; made if there is none. @throws ENOSPC and what else the file system does. */
  constructor(path: string) {
    this.#path = path;
    makeRoom(path);
    this.root = open<unknown, string>({ path, noSubdir: true, maxDbs: 6, pageSize: PAGE_BYTES });
    try {
      // Databases that are opened for the first time are made at once.
      this.#reserve(GROW_BYTES / 2);
    } catch (error) {
      void this.root.close();
      throw error;
    }
    this.#left = 0;
  }

  /** Bytes of the file. No more than these are in use. */
  get size(): number {
    return this.#size;
  }

  /** Runs `write` at once. @throws ENOSPC, before it returns, when the disk may not take so much. */
  write<T>(size: WriteSize, write: () => Promise<T>): Promise<T> {
    const bytes = this.#reserve(this.#mostOf(size));
    this.#pending += bytes;
    // A key or value that LMDB cannot take throws at once.
    const written = new Promise<T>((resolve) => resolve(write()));
    return written.finally(() => {
      this.#pending -= bytes;
    });
  }

  async close(): Promise<void> {
    await this.root.close();
  }

  #mostOf({ entries, bytes }: WriteSize): number {
    // It does not copy more pages than there are.
    const copied = Math.min(entries * PAGES_PER_ENTRY * PAGE_BYTES, this.#size);
    return copied + PAGES_PER_WRITE * PAGE_BYTES + bytes * PAGE_BYTES_PER_BYTE;
  }

  /** @returns `bytes`. @throws ENOSPC */
  #reserve(bytes: number): number {
    if (this.#left < bytes) {
      const { lastPageNumber } = this.root.getStats() as { lastPageNumber: number };
      // Writes that are under way may be among the used pages already, or not.
      const taken = (lastPageNumber + 1) * PAGE_BYTES + this.#pending;
      this.#size = grow(this.#path, taken + bytes);
      this.#left = this.#size - taken;
    }
    this.#left -= bytes;
    return bytes;
  }
}

/** @returns the size of the file, which is `needed` or more. @throws ENOSPC */
function grow(path: string, needed: number): number {
  const fd = openSync(path, 'r+');
  try {
    let { size } = fstatSync(fd);
    if (size >= needed) return size;
    try {
      while (size < needed + GROW_BYTES)
        size += writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, needed + GROW_BYTES - size), size);
    } catch (error) {
      if (size < needed) throw error;
    }
    return size;
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes sure that LMDB can make its two files at `path`: a first page that cannot be written, or a page of the lock file that is first
 * touched in memory, ends the process on a full disk. @throws ENOSPC
 */
function makeRoom(path: string): void {
  fill(path, ZEROS.length, (fd) => ftruncateSync(fd, 0));
  fill(`${path}-lock`, LOCK_FILE_BYTES, () => undefined);
}

function fill(path: string, bytes: number, then: (fd: number) => void): void {
  const fd = openSync(path, 'a', 0o600);
  try {
    if (fstatSync(fd).size > 0) return;
    try {
      for (let written = 0; written < bytes;) written += writeSync(fd, ZEROS, 0, bytes - written);
    } catch (error) {
      ftruncateSync(fd, 0);
      throw error;
    }
    then(fd);
  } finally {
    closeSync(fd);
  }
}
