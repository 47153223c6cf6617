import type { GlobalOptions } from './options.js';
import { say } from './output/say.js';
import { kindOfStdin, readStdin } from './stdin.js';

/** The words of the prompt, in which `-` stands for the piped text, and the piped text. */
export interface PromptInput {
  /** Undefined: none. */
  readonly words: string | undefined;
  readonly piped: string | undefined;
}

/** Takes words from the command line, and what stands on stdin to be read. @throws {CliError} when that is no text. */
export async function sayOrRead(words: readonly string[], options: GlobalOptions): Promise<PromptInput> {
  const kind = kindOfStdin();
  // Without a word nothing else can be meant.
  const readsStdin = words.includes('-') || (words.length === 0 && kind !== 'none');
  const others = words.filter((word) => word !== '-');
  const text =
    readsStdin && others.length > 0 ? words.map((word) => (word === '-' ? HERE : word)).join(' ') : others.join(' ');
  const piped =
    options.noInput === true && !readsStdin
      ? undefined
      : await readStdin(process.stdin, kind, { requested: readsStdin, notice: (notice) => say(options, notice) });
  return { words: text === '' ? undefined : text, piped };
}

/** Stands in the words for what is piped; no shell can give it in a word. */
const HERE = '\u0000';

/** Joins both: the piped text replaces `-`, or else follows the words. Without words it is the prompt. */
export function withPiped(words: string | undefined, piped: string | undefined): string {
  if (words === undefined) return piped ?? '';
  if (words.includes(HERE)) return words.replaceAll(HERE, `\n\n${piped ?? ''}`).trim();
  return piped === undefined || piped.trim() === '' ? words : `${words}\n\n${piped}`.trim();
}
