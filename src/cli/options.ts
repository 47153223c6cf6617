import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ConnectionOptions } from './connection.js';

export type OutputFormat = 'text' | 'json' | 'jsonl';

/** Of every command; it reads them, with its own, by `command.optsWithGlobals()`. */
export interface GlobalOptions extends ConnectionOptions {
  readonly output: OutputFormat;
}

export const withGlobalOptions = (program: Command): Command =>
  program
    .addOption(
      new Option('-o, --output <format>', 'how data is written to stdout')
        .choices(['text', 'json', 'jsonl'])
        .default('text'),
    )
    .option('--url <url>', 'address of an API (default: KSI_URL, else that of KSI_DIR or the nearest .ksi upward)')
    .option('--token <token>', 'bearer token (default: KSI_TOKEN, else the cluster’s); others see it here by `ps`');

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
