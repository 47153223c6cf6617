import type { Command } from '../command.js';
import { clientOf } from '../client.js';
import { CliError, EXIT } from '../exit.js';
import { taskId } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say } from '../output/say.js';
import { sayOrRead, withPiped } from '../prompt.js';

/** `ksi input ID TEXT` */
export function register(program: Command): void {
  program
    .command('input')
    .description('Send further input to Claude while it works on a task')
    .argument('<id>', 'the task’s id', taskId)
    .argument('[text...]', 'the input; piped text is appended, or inserted at `-`')
    .withValues({ id: 'open tasks' })
    .withExamples('ksi input ID "Leave the tests alone"', 'git diff | ksi input ID')
    .runs(input);
}

async function input(id: string, words: readonly string[], options: GlobalOptions): Promise<void> {
  const said = await sayOrRead(words, options);
  const text = withPiped(said.words, said.piped);
  if (text.trim() === '') throw new CliError('The input is empty. Pass its text: ksi input ID "Go on"', EXIT.usage);
  await using client = clientOf(options);
  const task = await client.tasks.input(id, text);
  printOne(task, () => '', options);
  say(options, `Sent to Claude. Follow it: ksi logs -f ${id}`);
}
