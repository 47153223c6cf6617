import { text as readAll } from 'node:stream/consumers';
import type { Command } from '../command.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { CliError, EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { runCommand } from '../run.js';

/** `ksi input ID TEXT`: says more to Claude while it works. */
export function register(program: Command): void {
  program
    .command('input')
    .description('Say more to Claude while it works at a task')
    .argument('<id>', 'the task’s id')
    .argument('[text...]', 'what Claude is told; nothing with a pipe reads it from stdin')
    .withExamples('ksi input ID "Leave the tests alone"', 'git diff | ksi input ID')
    .action((id: string, words: string[], _options: unknown, command: Command) =>
      runCommand(() => input(id, words, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function input(id: string, words: readonly string[], options: GlobalOptions): Promise<number> {
  const text = words.length > 0 || process.stdin.isTTY ? words.join(' ') : await readAll(process.stdin);
  if (text.trim() === '') throw new CliError('There is nothing to say. Give it: ksi input ID "Go on"', EXIT.usage);
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const task = await client.tasks.input(id, text);
  if (options.output !== 'text') process.stdout.write(`${JSON.stringify(task)}\n`);
  process.stderr.write(`Claude is told. See what comes of it: ksi logs -f ${id}\n`);
  return EXIT.ok;
}
