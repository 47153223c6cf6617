import { Option, type Command } from 'commander';
import { AGENT_KINDS, AGENT_STATUSES, type AgentShown, type AgentsQuery } from '../../../../contracts/agents.js';
import { KsiClient } from '../../../client/client.js';
import { findConnection } from '../../connection.js';
import { EXIT } from '../../exit.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { ago, renderTable } from '../../output/table.js';
import { runCommand } from '../../run.js';

interface ListOptions extends GlobalOptions, Omit<AgentsQuery, 'cursor' | 'limit'> {
  readonly limit: number;
}

const DEFAULT_WIDTH = 120;
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
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())));
}

async function list({ role, capability, kind, status, connected, limit, ...options }: ListOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
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
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(found)}\n`);
  else if (options.output === 'jsonl') for (const each of found) process.stdout.write(`${JSON.stringify(each)}\n`);
  else if (found.length === 0) process.stderr.write('There are no such agents.\n');
  else process.stdout.write(`${renderTable(HEAD, found.map(row), process.stdout.columns ?? DEFAULT_WIDTH)}\n`);
  return EXIT.ok;
}

const HEAD = ['AGENT', 'KIND', 'STATUS', 'ROLE', 'OWNER', 'CHANGED', 'CAPABILITIES'];

const row = (agent: AgentShown): string[] => [
  agent.agent_id,
  agent.kind,
  agent.kind === 'external' && agent.status === 'active' ? (agent.connected ? 'connected' : 'away') : agent.status,
  agent.role,
  agent.owner,
  ago(agent.updated_at, Date.now()),
  agent.capabilities.join(', '),
];
