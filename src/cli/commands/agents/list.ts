import type { KsiClient } from '../../../client/client.js';
import { Option } from 'commander';
import type { Command } from '../../command.js';
import { AGENT_KINDS, AGENT_STATUSES, type AgentView, type AgentsQuery } from '../../../../contracts/agents/agents.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { printTable, type TableOf } from '../../output/print.js';
import { say } from '../../output/say.js';
import { timesFor, type ShowTime } from '../../output/times.js';
import { defined } from '../../../defined.js';

interface ListOptions extends GlobalOptions, Omit<AgentsQuery, 'cursor' | 'limit'> {
  readonly limit: number;
}

const DEFAULT_LIMIT = 100;
const PAGE = 500;

export function register(agents: Command): void {
  agents
    .command('list', { isDefault: true })
    .description('List agents, sorted by id')
    .option('--role <role>', 'only agents with this role')
    .option('--capability <capability>', 'only agents with this capability')
    .addOption(new Option('--kind <kind>', 'only agents of this kind').choices([...AGENT_KINDS]))
    .addOption(new Option('--status <status>', 'only agents with this status').choices([...AGENT_STATUSES]))
    .option('--connected', 'only agents whose clients are connected')
    .addOption(new Option('-n, --limit <count>', 'the maximum number').argParser(wholeNumber(1)).default(DEFAULT_LIMIT))
    .withExamples('ksi agents', 'ksi agents list --capability review --connected')
    .calls(list);
}

async function list(
  client: KsiClient,
  { role, capability, kind, status, connected, limit, ...options }: ListOptions,
): Promise<void> {
  const query: AgentsQuery = {
    limit: Math.min(limit, PAGE),
    ...defined({ role, capability, kind, status, connected }),
  };
  const found: AgentView[] = [];
  for await (const agent of client.agents.list(query)) {
    found.push(agent);
    if (found.length >= limit) break;
  }
  printTable(found, table(timesFor(options)), options);
  if (found.length === 0 && options.output === 'text') say(options, 'No matching agents.');
}

const table = (when: ShowTime): TableOf<AgentView> => ({
  head: ['AGENT', 'KIND', 'STATUS', 'ROLE', 'OWNER', 'CHANGED', 'CAPABILITIES'],
  row: (agent) => [
    agent.agent_id,
    agent.kind,
    agent.kind === 'external' && agent.status === 'active' ? (agent.connected ? 'connected' : 'away') : agent.status,
    agent.role,
    agent.owner,
    when(agent.updated_at),
    agent.capabilities.join(', '),
  ],
});
