import type { KsiClient } from '../../../client/client.js';
import type { Command } from '../../command.js';
import { contextOf, withContext, type ContextOptions } from '../../context-options.js';
import type { GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { say } from '../../output/say.js';
import { defined } from '../../../defined.js';

interface SpawnOptions extends GlobalOptions, ContextOptions {
  readonly id?: string;
  readonly profile?: string;
  readonly composition?: string;
  readonly role?: string;
  readonly capability?: string[];
  readonly about?: string;
}

export function register(agents: Command): void {
  withContext(agents.command('spawn'))
    .description('Create an agent from a profile or composition, and give it its first task')
    .argument('[task...]', 'its first task (default: none, it waits for messages)')
    .option('--id <id>', 'its id (default: its profile or role, and 8 random digits)')
    .option('--profile <name>', 'the profile that supplies the other fields (`ksi profiles`)')
    .option('--composition <name>', "the composition of its prompt (default: the profile's, or the best match)")
    .option('--role <role>', 'its role')
    .option('--capability <capability...>', 'its capabilities')
    .option('--about <text>', 'context for the task')
    .withExamples(
      'ksi agents spawn --profile reviewer "Review the last commit"',
      'ksi agents spawn --id ann --composition conversation_debate --set topic="Tabs or spaces?"',
    )
    .calls(spawn);
}

async function spawn(client: KsiClient, words: readonly string[], options: SpawnOptions): Promise<void> {
  const { id, profile, composition, role, capability, about } = options;
  const spawned = await client.agents.spawn({
    ...(words.length === 0 ? {} : { task: words.join(' ') }),
    ...defined({ agent_id: id, profile, composition, role, capabilities: capability, context: about }),
    variables: contextOf(options),
  });
  printOne(spawned, ({ agent_id: made }) => `${made}\n`, options);
  const { agent_id: made, composition: used, fallback, message_id: told } = spawned;
  if (options.output !== 'text') return;
  say(options, `Created with the composition ${used}${fallback ? ', the default, because no other one matches' : ''}.`);
  say(
    options,
    told === undefined
      ? `Give it a task: ksi send ${made} "…" --wait`
      : `Sent its task as message ${told}. Follow it: ksi tasks`,
  );
}
