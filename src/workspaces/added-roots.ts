import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Type } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { ifExistsSync } from '../if-exists.js';
import { parseText } from '../json.js';

/** Roots by name. */
type Roots = ReadonlyMap<string, string>;

const RootsFile = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
  Type.String({ pattern: '^/', description: 'The real path of the folder.' }),
);

/** The roots that the operator added to a running cluster. It is in KSI_DIR, which no run sees. */
const fileIn = (ksiDir: string): string => join(ksiDir, 'roots.json');

/** @throws if the file is damaged or cannot be read */
export function readRoots(ksiDir: string): Map<string, string> {
  const file = fileIn(ksiDir);
  const text = ifExistsSync(() => readFileSync(file, 'utf8'));
  if (text === undefined) return new Map();
  const checked = check(RootsFile, parseText(text));
  if (!checked.ok) throw new Error(`${file} is damaged. Remove it, then add the folders again with \`ksi roots add\`.`);
  return new Map(Object.entries(checked.value));
}

/** Replaces the file. Running APIs and workers use the new roots from their next task on. */
export function writeRoots(ksiDir: string, roots: Roots): void {
  mkdirSync(ksiDir, { recursive: true, mode: 0o700 });
  const written = `${fileIn(ksiDir)}.${process.pid}`;
  writeFileSync(written, `${JSON.stringify(Object.fromEntries(roots), undefined, 2)}\n`, { mode: 0o600 });
  renameSync(written, fileIn(ksiDir));
}

/** Returns the current roots each time. A damaged file leaves the last ones in force. */
export function addedRoots(ksiDir: string, log: Pick<Logger, 'error' | 'info'>): () => Roots {
  let roots: Roots = new Map();
  let version = '';
  return () => {
    const stat = statSync(fileIn(ksiDir), { throwIfNoEntry: false });
    const current = stat === undefined ? '' : `${stat.ino}/${stat.mtimeMs}/${stat.size}`;
    if (current === version) return roots;
    version = current;
    try {
      roots = readRoots(ksiDir);
      log.info({ roots: Object.fromEntries(roots) }, 'the roots of workspaces have changed');
    } catch (error) {
      log.error({ err: error }, 'could not read the added roots; the last ones stay in force');
    }
    return roots;
  };
}
