import { InvalidArgumentError, Option } from 'commander';
import type { Command } from './command.js';
import type { ConnectionOptions } from './connection.js';

export const OUTPUT_FORMATS = ['text', 'json', 'jsonl', 'none'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Of every command; it reads them, with its own, by `command.optsWithGlobals()`. */
export interface GlobalOptions extends ConnectionOptions {
  readonly output: OutputFormat;
  /** Nothing to stderr but failures and questions. */
  readonly quiet?: true;
  /** Nobody is asked. */
  readonly noInput?: true;
  /** Times are absolute. */
  readonly utc?: true;
}

export function withGlobalOptions<C extends Command>(program: C): C {
  const noInput = new Option('--no-input', 'ask nothing; stdin is read only where `-` says so');
  // Else it would be a default of `input`, which is the name of a command's own option.
  noInput.negate = false;
  return program
    .addOption(
      new Option('-o, --output <format>', 'how data is written to stdout').choices([...OUTPUT_FORMATS]).default('text'),
    )
    .option('--quiet', 'write only failures to stderr')
    .addOption(noInput)
    .option('--utc', 'show times in UTC instead of as ages')
    .option('--url <url>', 'address of an API (default: KSI_URL, or the API in KSI_DIR or the nearest .ksi folder)')
    .option('--token <token>', 'bearer token (default: KSI_TOKEN, or the cluster’s token); visible to others in `ps`');
}

export function positiveNumber(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}

/** The parser of an option that is a whole number within bounds. */
export const wholeNumber =
  (from: number, to: number = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const number = Number(text);
    const bounds = to === Number.MAX_SAFE_INTEGER ? `${from} or more` : `from ${from} to ${to}`;
    if (!Number.isSafeInteger(number) || number < from || number > to)
      throw new InvalidArgumentError(`It must be a whole number ${bounds}.`);
    return number;
  };

export const commaList = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
