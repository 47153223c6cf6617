import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UUID_PATTERN } from '../../../contracts/wire/names.js';
import { PID_FILE } from './pid-file.js';
import type { WorkDir } from './work-dir.js';

const KINDS = ['logs', 'sessions', 'sockets'] as const;
const SESSION_LOG = new RegExp(`${UUID_PATTERN.slice(0, -1)}\\.jsonl$`);

/** Serves CLEANUP. @returns a sentence that says what was done */
export async function cleanUp(kind: string, dir: WorkDir, socket: string): Promise<string> {
  switch (kind) {
    case 'logs':
      return logs(dir);
    case 'sessions':
      return sessions(dir);
    case 'sockets':
      return sockets(dir, socket);
    case 'all':
      return [await logs(dir), await sessions(dir), await sockets(dir, socket)].join('; ');
    default:
      return `Unknown cleanup type ${JSON.stringify(kind)}. Use one of ${[...KINDS, 'all'].join(', ')}`;
  }
}

/** Removes session logs, but not the log of the message bus. */
async function logs({ logs: folder }: WorkDir): Promise<string> {
  return `Removed ${await removeAll(folder, (name) => SESSION_LOG.test(name) || name === 'latest.jsonl')} log files`;
}

/** Forgets which session was the last. KSI keeps the sessions themselves. */
async function sessions({ sockets: folder }: WorkDir): Promise<string> {
  const count = await removeAll(folder, (name) => name === 'last_session_id');
  return `Forgot ${count === 0 ? 'no' : 'the last'} session; KSI keeps its sessions (ksi sessions)`;
}

/** Removes all files except sockets and this bridge's files. */
async function sockets({ sockets: folder }: WorkDir, socket: string): Promise<string> {
  const own = dirname(socket) === folder ? basename(socket) : undefined;
  const count = await removeAll(
    folder,
    (name) => name !== own && !name.endsWith('.sock') && name !== 'last_session_id' && name !== PID_FILE,
  );
  return `Removed ${count} socket files`;
}

/** Removes files only: the old daemon created no folders there. */
async function removeAll(folder: string, matches: (name: string) => boolean): Promise<number> {
  const found = (await readdir(folder, { withFileTypes: true })).filter(
    (entry) => !entry.isDirectory() && matches(entry.name),
  );
  for (const { name } of found) await rm(join(folder, name), { force: true });
  return found.length;
}
