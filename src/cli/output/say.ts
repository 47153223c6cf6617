import type { GlobalOptions } from '../options.js';

/** A word to the person beside the data: to stderr, unless `--quiet`. */
export function say({ quiet }: Pick<GlobalOptions, 'quiet'>, text: string): void {
  if (quiet !== true) process.stderr.write(`${text}\n`);
}
