import type { Command } from '../command.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { runCommand } from '../run.js';

/** `ksi interrupt ID`: Claude ends its turn, as by Esc in a terminal. */
export function register(program: Command): void {
  program
    .command('interrupt')
    .description('Have Claude end the turn of a running task; its session can be continued')
    .argument('<id>', 'the task’s id')
    .withExamples('ksi interrupt ID && ksi logs -f ID')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(() => interrupt(id, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function interrupt(id: string, options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const task = await client.tasks.interrupt(id);
  if (options.output !== 'text') process.stdout.write(`${JSON.stringify(task)}\n`);
  process.stderr.write(`Claude is told to end its turn. See what comes of it: ksi logs -f ${id}\n`);
  return EXIT.ok;
}
