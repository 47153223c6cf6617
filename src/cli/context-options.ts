import { InvalidArgumentError } from 'commander';
import type { PromptContext } from '../../contracts/prompts/compositions.js';
import type { Command } from './command.js';
import { CliError, EXIT } from './exit.js';
import { readJsonFile } from './json-file.js';

export interface ContextOptions {
  readonly set?: PromptContext;
  readonly context?: string;
}

/** The values of `{{key}}` in a prompt, by key or from a file. */
export const withContext = <C extends Command>(command: C): C =>
  command
    .option('--set <key=value>', 'value of {{key}}, as JSON or else as text; may be repeated', entry)
    .option('--context <file>', 'JSON file with keys and values')
    .withValues({ context: 'files' });

/** @throws {CliError} */
export function contextOf({ set, context: file }: ContextOptions): PromptContext {
  const context = file === undefined ? {} : readJsonFile(file);
  if (typeof context !== 'object' || context === null || Array.isArray(context))
    throw new CliError(`${file ?? ''} is not a JSON object`, EXIT.usage);
  return { ...context, ...set };
}

function entry(text: string, sofar: PromptContext = {}): PromptContext {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be key=value.');
  return { ...sofar, [text.slice(0, at)]: jsonOrText(text.slice(at + 1)) };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
