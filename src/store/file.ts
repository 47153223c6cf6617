import { fork, type ChildProcess } from 'node:child_process';
import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { systemClock } from '../clock.js';

/** An LMDB file, and the databases in it as lmdb's `openDB` takes them. */
export interface LmdbFileSpec {
  readonly path: string;
  readonly databases: readonly { readonly name: string; readonly encoding: 'msgpack' | 'string' }[];
  /** The path that a damaged file is renamed to, without its time. */
  readonly aside: string;
}

/** Where LMDB's first meta page has its magic number (MDB_MAGIC): after the page's header, which is 24 bytes in lmdb-js and 16 in LMDB 0.9. */
const MAGIC_AT = [24, 16];
const MAGIC = 0xbeefc0de;
const HEAD_BYTES = Math.max(...MAGIC_AT) + 4;

const PROBE = fileURLToPath(new URL('probe.js', import.meta.url));
/** A large file that takes longer is believed to be sound: a start must not wait for it for minutes. */
const PROBE_MS = 30_000;

const markerOf = (path: string): string => `${path}.in-use`;

/**
 * To be called before a file is opened: sets a damaged one aside. LMDB does not refuse a damaged file, it crashes the process when it comes to the
 * damage. So a marker stands beside the file until `putDown`, and a file whose marker is still there, as its process did not end well, is read to its
 * end in a process of its own first.
 * @returns the name that a damaged file was given.
 */
export async function takeUp(file: LmdbFileSpec, log: Logger): Promise<string | undefined> {
  const { path } = file;
  const suspect = await stat(markerOf(path)).then(
    () => true,
    () => false,
  );
  const sound = (await isDatabase(path)) && (!suspect || (await isSound(file, log)));
  const aside = sound ? undefined : await setAside(file);
  // On a full disk there is no marker, and the file is opened all the same.
  await writeFile(markerOf(path), '').catch((error: unknown) => log.warn({ err: error }, 'a marker was not written'));
  return aside;
}

/** To be called after a file is closed. */
export const putDown = ({ path }: LmdbFileSpec): Promise<void> => rm(markerOf(path), { force: true });

/** Renames a damaged file. It is not deleted. @returns its new name. */
export async function setAside({ path, aside }: LmdbFileSpec): Promise<string> {
  const name = `${aside}.damaged-${systemClock.now()}`;
  await rename(path, name);
  await rm(`${path}-lock`, { force: true });
  return name;
}

/** Whether all of a file can be read, and a transaction begun. */
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
  log.warn({ path, code, signal, fault }, 'a file that was in use when its process ended could not be read to its end');
  return signal === 'SIGKILL';
}

/** One that cannot be started, as there is no memory for it, ends like one that took too long. */
const endOf = (child: ChildProcess): Promise<readonly [code: number | null, signal: NodeJS.Signals | null]> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve([code, signal]));
    child.once('error', () => resolve([null, 'SIGKILL']));
  });

/** Whether the file at `path` is an LMDB file, or none yet. */
async function isDatabase(path: string): Promise<boolean> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return bytesRead === 0 || (bytesRead === head.length && MAGIC_AT.some((at) => head.readUInt32LE(at) === MAGIC));
  } finally {
    await file.close();
  }
}
