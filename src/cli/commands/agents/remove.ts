import type { Command } from '../../command.js';
import { clientOf } from '../../client.js';
import { forEachOf } from '../../each.js';
import type { GlobalOptions } from '../../options.js';
import { say } from '../../output/say.js';

export function register(agents: Command): void {
  agents
    .command('remove')
    .description('Remove agents and their inboxes; their tasks and sessions are kept')
    .argument('<ids...>', 'their ids')
    .withExamples('ksi agents remove critic')
    .runs(remove);
}

async function remove(ids: readonly string[], options: GlobalOptions): Promise<number> {
  const client = clientOf(options);
  const { exitCode } = await forEachOf(ids, async (id) => {
    await client.agents.remove(id);
    say(options, `Removed ${id}.`);
    return id;
  });
  return exitCode;
}
