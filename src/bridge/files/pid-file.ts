import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesOf } from '../migration/json-file.js';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

export const PID_FILE = 'claude_daemon.pid';

/** An old daemon does not start while a process of this id lives. */
export const writePid = ({ sockets }: WorkDir): Promise<void> =>
  replaceFile(join(sockets, PID_FILE), `${process.pid}\n`);

/** Leaves the file if another process has written it since. */
export async function removePid({ sockets }: WorkDir): Promise<void> {
  const file = join(sockets, PID_FILE);
  if ((await bytesOf(file))?.toString('utf8').trim() === String(process.pid)) await rm(file, { force: true });
}
