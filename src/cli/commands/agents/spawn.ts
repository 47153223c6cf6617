import type { Command } from '../../command.js';
import { clientOf } from '../../client.js';
import { contextOf, withContext, type ContextOptions } from '../../context-options.js';
import { EXIT } from '../../exit.js';
import type { GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { say } from '../../output/say.js';
import { runCommand } from '../../run.js';

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
    .description('Make an agent of a profile or a composition, and give it its first task')
    .argument('[task...]', 'what it has to do; without it the agent waits for messages')
    .option('--id <id>', 'its id; default: its profile or role, and 8 random digits')
    .option('--profile <name>', 'what is not given comes from it (`ksi profiles`)')
    .option('--composition <name>', "of its prompt; default: the profile's, or the one that fits best")
    .option('--role <role>', 'what it is')
    .option('--capability <capability...>', 'what it can do')
    .option('--about <text>', 'what it has to know for the task')
    .withExamples(
      'ksi agents spawn --profile reviewer "Review the last commit"',
      'ksi agents spawn --id ann --composition conversation_debate --set topic="Tabs or spaces?"',
    )
    .action((words: string[], _options: unknown, command: Command) =>
      runCommand(() => spawn(words, command.optsWithGlobals<SpawnOptions>())),
    );
}

async function spawn(words: readonly string[], options: SpawnOptions): Promise<number> {
  const { id, profile, composition, role, capability, about } = options;
  const spawned = await clientOf(options).agents.spawn({
    ...(words.length === 0 ? {} : { task: words.join(' ') }),
    ...(id === undefined ? {} : { agent_id: id }),
    ...(profile === undefined ? {} : { profile }),
    ...(composition === undefined ? {} : { composition }),
    ...(role === undefined ? {} : { role }),
    ...(capability === undefined ? {} : { capabilities: capability }),
    ...(about === undefined ? {} : { context: about }),
    variables: contextOf(options),
  });
  printOne(spawned, ({ agent_id: made }) => `${made}\n`, options);
  const { agent_id: made, composition: used, fallback, message_id: told } = spawned;
  if (options.output !== 'text') return EXIT.ok;
  say(options, `Made with the composition ${used}${fallback ? ', as none fits' : ''}.`);
  say(
    options,
    told === undefined
      ? `Give it something to do: ksi send ${made} "…" --wait`
      : `It has its task, message ${told}. What comes of it: ksi tasks`,
  );
  return EXIT.ok;
}
