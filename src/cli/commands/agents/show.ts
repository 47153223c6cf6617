import type { Command } from '../../command.js';
import type { AgentShown } from '../../../../contracts/agents/agents.js';
import { clientOf } from '../../client.js';
import { EXIT } from '../../exit.js';
import type { GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { factLines } from '../../output/facts.js';
import { timesFor, type ShowTime } from '../../output/times.js';
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
  printOne(agent, (each) => described(each, timesFor(options)), options);
  return EXIT.ok;
}

/** Those of its fields that say something. */
function described({ v: _version, ...fields }: AgentShown, when: ShowTime): string {
  const said = Object.entries(fields).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return factLines(
    Object.fromEntries(said.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value])),
    when,
  );
}
