import type { Command } from '../command.js';
import { clientOf } from '../client.js';
import { EXIT } from '../exit.js';
import { taskId } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say } from '../output/say.js';
import { runCommand } from '../run.js';

/** `ksi interrupt ID`: Claude ends its turn, as by Esc in a terminal. */
export function register(program: Command): void {
  program
    .command('interrupt')
    .description('Have Claude end the turn of a running task; its session can be continued')
    .argument('<id>', 'the task’s id', taskId)
    .withValues({ id: 'open tasks' })
    .withExamples('ksi interrupt ID && ksi logs -f ID')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(() => interrupt(id, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function interrupt(id: string, options: GlobalOptions): Promise<number> {
  await using client = clientOf(options);
  const task = await client.tasks.interrupt(id);
  printOne(task, () => '', options);
  say(options, `Claude is told to end its turn. See what comes of it: ksi logs -f ${id}`);
  return EXIT.ok;
}
