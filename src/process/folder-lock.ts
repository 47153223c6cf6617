import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { ifExistsSync } from '../if-exists.js';
import { folderId } from './folder-id.js';
import { isAlive, type ProcessIdentity } from './identity.js';

/** The holder, and the folder that it locked. A copy of a folder contains the lock file of the original's holder. */
interface FolderLock extends ProcessIdentity {
  readonly folder: string;
}

/**
 * Locks the folder of `path` for the process `me`, unless a living process holds the lock. Lock files are named `<path>.1`, `<path>.2` …;
 * the highest number holds the lock. `link` fails if the name exists. So if two processes take over from a dead holder, only one gets the
 * next number.
 * @returns the living holder, or undefined if `me` now holds the lock.
 * @throws errors of the file system.
 */
export function lockFolder(path: string, me: ProcessIdentity): ProcessIdentity | undefined {
  const folder = folderId(dirname(path));
  const draft = `${path}.new-${me.pid}`;
  try {
    writeFileSync(draft, JSON.stringify({ ...me, folder } satisfies FolderLock), { mode: 0o600 });
    for (;;) {
      const last = numbersOf(path).at(-1) ?? 0;
      const holder = livingHolder(`${path}.${last}`, folder);
      if (holder !== undefined && holder.pid !== me.pid) return holder;
      if (!linked(draft, `${path}.${last + 1}`)) continue;
      // Our list may have been out of date: a later holder may have deleted the number that we just linked.
      const numbers = numbersOf(path);
      if (numbers.at(-1) !== last + 1) {
        rmSync(`${path}.${last + 1}`, { force: true });
        continue;
      }
      for (const number of numbers.slice(0, -1)) rmSync(`${path}.${number}`, { force: true });
      return undefined;
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The living process that holds the lock, if there is one. */
export const lockHolder = (path: string): ProcessIdentity | undefined =>
  ifExistsSync(() => livingHolder(`${path}.${numbersOf(path).at(-1) ?? 0}`, folderId(dirname(path))));

function livingHolder(file: string, folder: string): ProcessIdentity | undefined {
  const lock = readLock(file);
  if (lock?.folder !== folder || !isAlive(lock)) return undefined;
  return { pid: lock.pid, started: lock.started };
}

/** In ascending order. */
function numbersOf(path: string): number[] {
  const prefix = `${basename(path)}.`;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .toSorted((a, b) => a - b);
}

/** @returns undefined if the file is missing or damaged: no living process wrote it. */
function readLock(file: string): FolderLock | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as FolderLock;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
