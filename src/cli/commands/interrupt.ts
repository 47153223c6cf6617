import type { Command } from '../command.js';
import { clientOf } from '../client.js';
import { EXIT } from '../exit.js';
import { taskId } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say } from '../output/say.js';

/** `ksi interrupt ID`: like Esc in Claude's own terminal. */
export function register(program: Command): void {
  program
    .command('interrupt')
    .description('Interrupt the turn of a running task; its session can be continued')
    .argument('<id>', 'the task’s id', taskId)
    .withValues({ id: 'open tasks' })
    .withExamples('ksi interrupt ID && ksi logs -f ID')
    .runs(interrupt);
}

async function interrupt(id: string, options: GlobalOptions): Promise<number> {
  await using client = clientOf(options);
  const task = await client.tasks.interrupt(id);
  printOne(task, () => '', options);
  say(options, `Interrupt sent to Claude. Follow it: ksi logs -f ${id}`);
  return EXIT.ok;
}
