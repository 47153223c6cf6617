import type { GlobalOptions } from '../options.js';

/** Writes a message for the user to stderr, unless `--quiet` is set. */
export function say({ quiet }: Pick<GlobalOptions, 'quiet'>, text: string): void {
  if (quiet !== true) process.stderr.write(`${text}\n`);
}
