import { Option } from 'commander';
import type { Command } from '../../command.js';
import { AGENT_KINDS, AGENT_STATUSES, type AgentShown, type AgentsQuery } from '../../../../contracts/agents/agents.js';
import { clientOf } from '../../client.js';
import { EXIT } from '../../exit.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { printTable, type TableOf } from '../../output/print.js';
import { say } from '../../output/say.js';
import { timesFor, type ShowTime } from '../../output/times.js';
import { runCommand } from '../../run.js';

interface ListOptions extends GlobalOptions, Omit<AgentsQuery, 'cursor' | 'limit'> {
  readonly limit: number;
}

const DEFAULT_LIMIT = 100;
const PAGE = 500;

export function register(agents: Command): void {
  agents
    .command('list', { isDefault: true })
    .description('List agents, by their ids')
    .option('--role <role>', 'those of this role')
    .option('--capability <capability>', 'those that have it')
    .addOption(new Option('--kind <kind>', 'those of this kind').choices([...AGENT_KINDS]))
    .addOption(new Option('--status <status>', 'those that are in it').choices([...AGENT_STATUSES]))
    .option('--connected', 'those whose clients are there')
    .addOption(
      new Option('-n, --limit <count>', 'so many at the most').argParser(wholeNumber(1)).default(DEFAULT_LIMIT),
    )
    .withExamples('ksi agents', 'ksi agents list --capability review --connected')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())));
}

async function list({ role, capability, kind, status, connected, limit, ...options }: ListOptions): Promise<number> {
  await using client = clientOf(options);
  const query: AgentsQuery = {
    limit: Math.min(limit, PAGE),
    ...(role === undefined ? {} : { role }),
    ...(capability === undefined ? {} : { capability }),
    ...(kind === undefined ? {} : { kind }),
    ...(status === undefined ? {} : { status }),
    ...(connected === undefined ? {} : { connected }),
  };
  const found: AgentShown[] = [];
  for await (const agent of client.agents.list(query)) {
    found.push(agent);
    if (found.length >= limit) break;
  }
  printTable(found, table(timesFor(options)), options);
  if (found.length === 0 && options.output === 'text') say(options, 'There are no such agents.');
  return EXIT.ok;
}

const table = (when: ShowTime): TableOf<AgentShown> => ({
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
