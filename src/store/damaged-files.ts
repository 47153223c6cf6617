import { fork, type ChildProcess } from 'node:child_process';
import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { systemClock } from '../clock.js';
import { ifExists } from '../if-exists.js';

/** An LMDB file and its databases, as parameters of lmdb's `openDB`. */
export interface LmdbFileSpec {
  readonly path: string;
  readonly databases: readonly { readonly name: string; readonly encoding: 'msgpack' | 'string' }[];
  /** The prefix of the path to which a damaged file is renamed. */
  readonly aside: string;
}

/** Offsets of the magic number (MDB_MAGIC) in the first meta page: after its header, of 24 bytes in lmdb-js and 16 in LMDB 0.9. */
const MAGIC_AT = [24, 16];
const MAGIC = 0xbeefc0de;
const HEAD_BYTES = Math.max(...MAGIC_AT) + 4;

const PROBE = fileURLToPath(new URL('probe.js', import.meta.url));
/** A file that takes longer to read counts as sound: a start must not take minutes. */
const PROBE_MS = 30_000;

const markerOf = (path: string): string => `${path}.in-use`;

/**
 * Checks a file before it is opened, and renames a damaged one. LMDB does not reject a damaged file; it crashes the process when it reads the
 * damage. So a marker file exists until `closeChecked`. If it still exists at the next start, the process ended abnormally, and a child process
 * reads the whole file first.
 * @returns the new name of a damaged file.
 */
export async function openChecked(file: LmdbFileSpec, log: Logger): Promise<string | undefined> {
  const { path } = file;
  const suspect = await stat(markerOf(path)).then(
    () => true,
    () => false,
  );
  const sound = (await isDatabase(path)) && (!suspect || (await isSound(file, log)));
  const aside = sound ? undefined : await quarantineFile(file);
  // The file is opened even if a full disk prevents the marker.
  await writeFile(markerOf(path), '').catch((error: unknown) =>
    log.warn({ err: error }, 'could not write the marker of an open file; it will not be checked after a crash'),
  );
  return aside;
}

/** Removes the marker. Call it after the file is closed. */
export const closeChecked = ({ path }: LmdbFileSpec): Promise<void> => rm(markerOf(path), { force: true });

/** Renames a damaged file, so that it can be examined. @returns its new name. */
export async function quarantineFile({ path, aside }: LmdbFileSpec): Promise<string> {
  const name = `${aside}.damaged-${systemClock.now()}`;
  await rename(path, name);
  await rm(`${path}-lock`, { force: true });
  return name;
}

/** Whether a child process can read all of a file and start a transaction. */
export async function isSound({ path, databases }: LmdbFileSpec, log: Logger): Promise<boolean> {
  const child = fork(PROBE, [path, JSON.stringify(databases)], {
    env: {},
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    timeout: PROBE_MS,
    killSignal: 'SIGKILL',
  });
  let fault: unknown;
  child.on('message', (message) => (fault = message));
  const [code, signal] = await endOf(child);
  if (code === 0) return true;
  log.warn({ path, code, signal, fault }, 'the check of a file that was open at a crash did not succeed');
  return signal === 'SIGKILL';
}

/** A child process that cannot start, for lack of memory, counts as one that took too long. */
const endOf = (child: ChildProcess): Promise<readonly [code: number | null, signal: NodeJS.Signals | null]> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve([code, signal]));
    child.once('error', () => resolve([null, 'SIGKILL']));
  });

/** Whether the file at `path` is an LMDB file, empty, or does not exist. */
async function isDatabase(path: string): Promise<boolean> {
  const file = await ifExists(open(path, 'r'));
  if (file === undefined) return true;
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return bytesRead === 0 || (bytesRead === head.length && MAGIC_AT.some((at) => head.readUInt32LE(at) === MAGIC));
  } finally {
    await file.close();
  }
}
