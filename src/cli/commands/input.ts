import type { Command } from '../command.js';
import { clientOf } from '../client.js';
import { CliError, EXIT } from '../exit.js';
import { taskId } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say } from '../output/say.js';
import { sayOrRead, withPiped } from '../prompt.js';
import { runCommand } from '../run.js';

/** `ksi input ID TEXT`: says more to Claude while it works. */
export function register(program: Command): void {
  program
    .command('input')
    .description('Say more to Claude while it works at a task')
    .argument('<id>', 'the task’s id', taskId)
    .argument('[text...]', 'what Claude is told; a pipe or file on stdin is added to it, `-` says where')
    .withValues({ id: 'open tasks' })
    .withExamples('ksi input ID "Leave the tests alone"', 'git diff | ksi input ID')
    .action((id: string, words: string[], _options: unknown, command: Command) =>
      runCommand(() => input(id, words, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function input(id: string, words: readonly string[], options: GlobalOptions): Promise<number> {
  const said = await sayOrRead(words, options);
  const text = withPiped(said.words, said.piped);
  if (text.trim() === '') throw new CliError('There is nothing to say. Give it: ksi input ID "Go on"', EXIT.usage);
  await using client = clientOf(options);
  const task = await client.tasks.input(id, text);
  printOne(task, () => '', options);
  say(options, `Claude is told. See what comes of it: ksi logs -f ${id}`);
  return EXIT.ok;
}
