import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { folderId } from './folder-id.js';
import { isAlive, type ProcessIdentity } from './identity.js';

/** Who claims, and for which folder: a copy of the folder contains the claim of the original's holder. */
interface Claim extends ProcessIdentity {
  readonly folder: string;
}

/**
 * Makes `me` the one process that works in the claim's folder, unless a living process has claimed it. The claims are files named
 * `<path>.1`, `<path>.2` …; the highest number holds. `link` fails if the name exists, so of two processes that take over from a dead
 * holder only one gets the next number.
 * @returns the living holder, or undefined when `me` now holds the claim.
 * @throws what the file system does.
 */
export function claimFolder(path: string, me: ProcessIdentity): ProcessIdentity | undefined {
  const folder = folderId(dirname(path));
  const draft = `${path}.new-${me.pid}`;
  try {
    writeFileSync(draft, JSON.stringify({ ...me, folder } satisfies Claim), { mode: 0o600 });
    for (;;) {
      const last = numbersOf(path).at(-1) ?? 0;
      const holder = livingHolder(`${path}.${last}`, folder);
      if (holder !== undefined && holder.pid !== me.pid) return holder;
      if (!linked(draft, `${path}.${last + 1}`)) continue;
      // Our list may have been old: then a later holder has deleted the number that we just took.
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

/** The living process that has claimed the folder, if there is one. */
export function claimHolder(path: string): ProcessIdentity | undefined {
  try {
    return livingHolder(`${path}.${numbersOf(path).at(-1) ?? 0}`, folderId(dirname(path)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function livingHolder(file: string, folder: string): ProcessIdentity | undefined {
  const claim = readClaim(file);
  if (claim?.folder !== folder || !isAlive(claim)) return undefined;
  return { pid: claim.pid, started: claim.started };
}

/** In ascending order. */
function numbersOf(path: string): number[] {
  const prefix = `${basename(path)}.`;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .toSorted((a, b) => a - b);
}

/** @returns undefined for a claim that is missing or damaged: nobody who lives has written it. */
function readClaim(file: string): Claim | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Claim;
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
