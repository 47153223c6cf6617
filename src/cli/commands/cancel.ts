import type { KsiClient } from '../../client/client.js';
import type { Command } from '../command.js';
import { forEachOf } from '../each.js';
import { taskIds } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { printLines } from '../output/print.js';

/** `ksi cancel ID…` */
export function register(program: Command): void {
  program
    .command('cancel')
    .description('Cancel open tasks')
    .argument('<ids...>', 'the tasks’ ids', taskIds)
    .withValues({ ids: 'open tasks' })
    .withExamples('ksi cancel ID', 'ksi tasks --status queued -o json | jq -r ".[].task_id" | xargs ksi cancel')
    .calls(cancel);
}

async function cancel(client: KsiClient, ids: readonly string[], options: GlobalOptions): Promise<number> {
  const { done, exitCode } = await forEachOf(ids, (id) => client.tasks.cancel(id));
  printLines(done, (task) => `${task.task_id}  ${task.status}`, options);
  return exitCode;
}
