import type { Command } from 'commander';
import { KsiClient } from '../../../client/client.js';
import { findConnection } from '../../connection.js';
import { forEachOf } from '../../each.js';
import type { GlobalOptions } from '../../options.js';
import { runCommand } from '../../run.js';

export function register(agents: Command): void {
  agents
    .command('remove')
    .description('Remove agents with their inboxes; tasks and sessions stay')
    .argument('<ids...>', 'their ids')
    .action((ids: string[], _options: unknown, command: Command) =>
      runCommand(() => remove(ids, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function remove(ids: readonly string[], options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const { exitCode } = await forEachOf(ids, async (id) => {
    await client.agents.remove(id);
    process.stderr.write(`Removed ${id}.\n`);
    return id;
  });
  return exitCode;
}
