import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';

/** An upper bound of what a transaction writes. */
export interface WriteSize {
  /** The number of puts and removals, including those in indexes. */
  readonly entries: number;
  /** The total bytes of keys and values. */
  readonly bytes: number;
}

const PAGE_BYTES = 4096;
/** A put or removal copies its leaf page, may split it, and shares the branch pages above. */
const PAGES_PER_ENTRY = 3;
/** Pages that every transaction may write: meta page, branch pages, free list. */
const PAGES_PER_WRITE = 32;
/** Values occupy whole pages, and pages may be half full. */
const PAGE_BYTES_PER_BYTE = 4;
/** The file grows in steps of this size, so that it grows rarely. */
const GROW_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(256 * 1024);
/** More than LMDB needs for its 126 readers. */
const LOCK_FILE_BYTES = 12 * 1024;

/**
 * An LMDB file that is safe on a full disk. If LMDB cannot write a page, lmdb-js overruns an error text buffer and crashes the process
 * (docs/design/facts.md#lmdb-error-text). So this class allocates the pages that a transaction may need in advance, and refuses the write
 * with ENOSPC if the disk is full.
 */
export class LmdbFile {
  readonly root: RootDatabase<unknown, string>;
  readonly #path: string;
  #size = 0;
  /** Free bytes of the file that are not reserved. */
  #free = 0;
  /** Bytes reserved for writes in progress. */
  #pending = 0;

  /** Opens or creates the file. @throws ENOSPC and other file system errors. */
  constructor(path: string) {
    this.#path = path;
    makeRoom(path);
    this.root = open<unknown, string>({ path, noSubdir: true, maxDbs: 6, pageSize: PAGE_BYTES });
    try {
      // The first opening of a database writes to the file.
      this.#reserve(GROW_BYTES / 2);
    } catch (error) {
      void this.root.close();
      throw error;
    }
    this.#free = 0;
  }

  /** The size of the file in bytes: an upper bound of what is in use. */
  get size(): number {
    return this.#size;
  }

  /** Runs `write` at once. @throws ENOSPC synchronously, if the disk may not have enough space. */
  write<T>(size: WriteSize, write: () => Promise<T>): Promise<T> {
    const bytes = this.#reserve(this.#maxBytes(size));
    this.#pending += bytes;
    // LMDB throws synchronously for an invalid key or value: turn that into a rejection.
    const written = new Promise<T>((resolve) => resolve(write()));
    return written.finally(() => {
      this.#pending -= bytes;
    });
  }

  async close(): Promise<void> {
    await this.root.close();
  }

  #maxBytes({ entries, bytes }: WriteSize): number {
    // A transaction does not copy more pages than exist.
    const copied = Math.min(entries * PAGES_PER_ENTRY * PAGE_BYTES, this.#size);
    return copied + PAGES_PER_WRITE * PAGE_BYTES + bytes * PAGE_BYTES_PER_BYTE;
  }

  /** @returns `bytes`. @throws ENOSPC */
  #reserve(bytes: number): number {
    if (this.#free < bytes) {
      const { lastPageNumber } = this.root.getStats() as { lastPageNumber: number };
      // Pages of writes in progress may or may not be counted as used yet.
      const used = (lastPageNumber + 1) * PAGE_BYTES + this.#pending;
      this.#size = grow(this.#path, used + bytes);
      this.#free = this.#size - used;
    }
    this.#free -= bytes;
    return bytes;
  }
}

/** @returns the size of the file: at least `needed`. @throws ENOSPC */
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
 * Ensures that LMDB can create its two files. On a full disk, the process would crash when it writes the first page or touches a new page of
 * the memory-mapped lock file. @throws ENOSPC
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
