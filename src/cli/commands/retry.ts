import type { Command } from '../command.js';
import { clientOf } from '../client.js';
import { makeAndFollow } from '../follow.js';
import { taskId } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly wait?: true;
}

/** `ksi retry ID`: the same again, as a new task. */
export function register(program: Command): void {
  program
    .command('retry')
    .description('Run an ended task again, as a new task of the same session, and print the new one’s id')
    .argument('<id>', 'the ended task’s id', taskId)
    .option('-w, --wait', 'print the answer as it is written, as `ksi spawn` does')
    .withValues({ id: 'tasks' })
    .withExamples('ksi retry ID', 'ksi retry ID --wait', 'ksi task $(ksi retry ID)')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(() => retry(id, command.optsWithGlobals<Options>())),
    );
}

async function retry(id: string, options: Options): Promise<number> {
  await using client = clientOf(options);
  return await makeAndFollow(client, async (signal) => (await client.tasks.retry(id, { signal })).accepted, {
    ...options,
    wait: options.wait ?? false,
    ifUnknown: 'it is not known whether there is a new task. See: ksi tasks',
  });
}
