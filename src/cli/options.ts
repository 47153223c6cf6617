import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ConnectionOptions } from './connection.js';

export type OutputFormat = 'text' | 'json' | 'jsonl';

export interface ClientOptions extends ConnectionOptions {
  readonly output: OutputFormat;
}

/** The options of every command that asks an API. */
export const withClientOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('-o, --output <format>', 'how data is written to stdout')
        .choices(['text', 'json', 'jsonl'])
        .default('text'),
    )
    .option('--url <url>', 'address of an API (default: KSI_URL, else the cluster of this folder)')
    .option(
      '--token <token>',
      'bearer token (default: KSI_TOKEN, else the cluster’s; better not here: others see it in `ps`)',
    );

export function positiveNumber(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}

export const commaList = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
