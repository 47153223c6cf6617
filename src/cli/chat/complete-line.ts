import { readdirSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { CHAT_COMMANDS } from './commands.js';
import { printable } from '../output/printable.js';

/** Tab completion: commands at the start of a line, files after `@`. @returns the completions and the text that they replace. */
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
      .filter(
        ({ name }) =>
          name.startsWith(beginning) && printable(name) === name && (beginning !== '' || !name.startsWith('.')),
      )
      .map((entry) => `${before}${entry.name}${entry.isDirectory() ? '/' : ''}`);
  } catch {
    return []; // The folder does not exist.
  }
}
