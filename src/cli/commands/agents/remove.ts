import type { KsiClient } from '../../../client/client.js';
import type { Command } from '../../command.js';
import { forEachOf } from '../../each.js';
import type { GlobalOptions } from '../../options.js';
import { say } from '../../output/say.js';

export function register(agents: Command): void {
  agents
    .command('remove')
    .description('Remove agents and their inboxes; their tasks and sessions are kept')
    .argument('<ids...>', 'their ids')
    .withExamples('ksi agents remove critic')
    .calls(remove);
}

async function remove(client: KsiClient, ids: readonly string[], options: GlobalOptions): Promise<number> {
  const { exitCode } = await forEachOf(ids, async (id) => {
    await client.agents.remove(id);
    say(options, `Removed ${id}.`);
    return id;
  });
  return exitCode;
}
