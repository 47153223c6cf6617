import { readdirSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { CHAT_COMMANDS } from './commands.js';

/** What Tab offers: commands at the start of a line, files after an `@`. @returns them, and what they stand in the place of. */
export function completeLine(line: string, cwd: string): [string[], string] {
  if (/^\/[a-z]*$/.test(line))
    return [CHAT_COMMANDS.map(({ name }) => `/${name}`).filter((name) => name.startsWith(line)), line];
  const [, path] = /(?:^|\s)@(\S*)$/.exec(line) ?? [];
  return path === undefined ? [[], line] : [filesFrom(path, cwd), path];
}

function filesFrom(path: string, cwd: string): string[] {
  const beginning = path.endsWith('/') || path === '' ? '' : basename(path);
  const before = path.slice(0, path.length - beginning.length);
  try {
    return readdirSync(resolve(cwd, before === '' ? '.' : dirname(`${before}x`)), { withFileTypes: true })
      .filter(({ name }) => name.startsWith(beginning) && (beginning !== '' || !name.startsWith('.')))
      .map((entry) => `${before}${entry.name}${entry.isDirectory() ? '/' : ''}`);
  } catch {
    return []; // There is no such folder.
  }
}
