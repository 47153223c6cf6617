import type { Command } from '../command.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { forEachOf } from '../each.js';
import type { GlobalOptions } from '../options.js';
import { writeRecords } from '../output/records.js';
import { runCommand } from '../run.js';

/** `ksi cancel ID…`: ends tasks, whatever state they are in. */
export function register(program: Command): void {
  program
    .command('cancel')
    .description('Cancel tasks, whether they run, wait or have not begun')
    .argument('<ids...>', 'the tasks’ ids')
    .withExamples('ksi cancel ID', 'ksi tasks --status queued -o json | jq -r ".[].task_id" | xargs ksi cancel')
    .action((ids: string[], _options: unknown, command: Command) =>
      runCommand(() => cancel(ids, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function cancel(ids: readonly string[], options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const { done, exitCode } = await forEachOf(ids, (id) => client.tasks.cancel(id));
  writeRecords(done, options.output, (task) => `${task.task_id}  ${task.status}`);
  return exitCode;
}
