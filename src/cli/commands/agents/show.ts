import type { Command } from '../../command.js';
import type { AgentView } from '../../../../contracts/agents/agents.js';
import { clientOf } from '../../client.js';
import { EXIT } from '../../exit.js';
import type { GlobalOptions } from '../../options.js';
import { printOne } from '../../output/print.js';
import { fieldLines } from '../../output/fields.js';
import { timesFor, type ShowTime } from '../../output/times.js';

export function register(agents: Command): void {
  agents
    .command('show')
    .description('Show an agent and the number of its unacknowledged messages')
    .argument('<id>', 'its id')
    .withExamples('ksi agents show critic', 'ksi agents show critic -o json | jq .options')
    .runs(show);
}

async function show(id: string, options: GlobalOptions): Promise<number> {
  const agent = await clientOf(options).agents.get(id);
  printOne(agent, (each) => described(each, timesFor(options)), options);
  return EXIT.ok;
}

function described({ v: _version, ...fields }: AgentView, when: ShowTime): string {
  const shown = Object.entries(fields).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return fieldLines(
    Object.fromEntries(shown.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value])),
    when,
  );
}
