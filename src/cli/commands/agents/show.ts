import type { Command } from '../../command.js';
import type { AgentShown } from '../../../../contracts/agents.js';
import { clientOf } from '../../client.js';
import { EXIT } from '../../exit.js';
import type { GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { oneLine } from '../../output/table.js';
import { runCommand } from '../../run.js';

export function register(agents: Command): void {
  agents
    .command('show')
    .description('Show one agent, and how many messages it has not taken')
    .argument('<id>', 'its id')
    .withExamples('ksi agents show critic', 'ksi agents show critic -o json | jq .options')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(() => show(id, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function show(id: string, options: GlobalOptions): Promise<number> {
  const agent = await clientOf(options).agents.get(id);
  printOne(agent, textOf, options);
  return EXIT.ok;
}

/** A field a line, those that it has. */
const textOf = ({ v: _version, options, ...fields }: AgentShown): string =>
  Object.entries({ ...fields, ...(options === undefined ? {} : { options: JSON.stringify(options) }) })
    .filter(([, value]) => !Array.isArray(value) || value.length > 0)
    .map(([name, value]) => `${`${name}:`.padEnd(15)} ${oneLine(String(value))}\n`)
    .join('');
