import type { KsiClient } from '../../client/client.js';
import type { Command } from '../command.js';
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
    .calls(interrupt);
}

async function interrupt(client: KsiClient, id: string, options: GlobalOptions): Promise<void> {
  const task = await client.tasks.interrupt(id);
  printOne(task, () => '', options);
  say(options, `Interrupt sent to Claude. Follow it: ksi logs -f ${id}`);
}
