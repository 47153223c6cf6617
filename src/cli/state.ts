import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** Folder of what `ksi` remembers of a user, as the XDG Base Directory Specification says. */
export function stateFolder(env: Environment): string {
  const named = env['XDG_STATE_HOME'];
  const base = named?.startsWith('/') === true ? named : join(homedir(), '.local', 'state');
  return join(base, 'ksi');
}

/** @returns '' if the file does not exist or cannot be read. */
export function readState(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Replaces a file that is for its user's eyes alone. @throws what the file system does. */
export function writeState(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}

/** Adds to one; two that do so at once lose nothing. @throws what the file system does. */
export function appendState(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  appendFileSync(file, text, { mode: 0o600 });
}
