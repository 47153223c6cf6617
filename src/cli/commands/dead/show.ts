import type { Command } from '../../command.js';
import type { DeadLetter } from '../../../../contracts/dead.js';
import type { EventEnvelope } from '../../../../contracts/events.js';
import { KsiClient } from '../../../client/client.js';
import { findConnection } from '../../connection.js';
import { EXIT } from '../../exit.js';
import type { GlobalOptions } from '../../options.js';
import { eventLine } from '../../output/event-line.js';
import { runCommand } from '../../run.js';

/** `ksi dead show ID`: what was asked, what happened, and why it was given up. */
export function register(dead: Command): void {
  dead
    .command('show')
    .description('Show one, with its command and history')
    .argument('<id>', 'the task’s id')
    .withExamples('ksi dead show ID', 'ksi dead show ID -o json | jq -r .command.prompt')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(() => show(id, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function show(id: string, options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const letter = await client.dead.get(id);
  process.stdout.write(options.output === 'text' ? described(letter) : `${JSON.stringify(letter)}\n`);
  if (options.output === 'text') process.stderr.write(`\nPut it back: ksi dead retry ${id}\n`);
  return EXIT.ok;
}

function described({ command, history, error, ...identity }: DeadLetter): string {
  const lines = Object.entries({ ...identity, error: `${error.code}: ${error.message}` }).map(
    ([name, value]) => `${name.padEnd(15)} ${String(value)}`,
  );
  const events = history.map(({ type, timestamp, data }) =>
    eventLine({ type, timestamp, data: data as EventEnvelope['data'] }),
  );
  const asked = typeof command === 'string' ? command : JSON.stringify(command, undefined, 2);
  return `${[...lines, '', 'command', asked, '', 'history', ...events].join('\n')}\n`;
}
