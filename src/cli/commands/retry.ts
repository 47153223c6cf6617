import type { KsiClient } from '../../client/client.js';
import type { Command } from '../command.js';
import { makeAndFollow } from '../follow.js';
import { taskId } from '../ids.js';
import type { GlobalOptions } from '../options.js';

interface Options extends GlobalOptions {
  readonly wait?: true;
}

/** `ksi retry ID` */
export function register(program: Command): void {
  program
    .command('retry')
    .description('Run an ended task again as a new task of its session, and print the new id')
    .argument('<id>', 'the ended task’s id', taskId)
    .option('-w, --wait', 'print the answer as it is written, like `ksi spawn`')
    .withValues({ id: 'tasks' })
    .withExamples('ksi retry ID', 'ksi retry ID --wait', 'ksi task $(ksi retry ID)')
    .calls(retry);
}

async function retry(client: KsiClient, id: string, options: Options): Promise<number> {
  return await makeAndFollow(client, async (signal) => (await client.tasks.retry(id, { signal })).accepted, {
    ...options,
    wait: options.wait ?? false,
    ifUnknown: 'it is unknown whether a new task was created. Check: ksi tasks',
  });
}
