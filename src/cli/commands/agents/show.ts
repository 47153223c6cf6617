import type { KsiClient } from '../../../client/client.js';
import type { Command } from '../../command.js';
import type { AgentView } from '../../../../contracts/agents/agents.js';
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
    .calls(show);
}

async function show(client: KsiClient, id: string, options: GlobalOptions): Promise<void> {
  const agent = await client.agents.get(id);
  printOne(agent, (each) => described(each, timesFor(options)), options);
}

function described({ v: _version, ...fields }: AgentView, when: ShowTime): string {
  const nonEmpty = Object.entries(fields).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return fieldLines(
    Object.fromEntries(nonEmpty.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value])),
    when,
  );
}
