import type { KsiClient } from '../../client/client.js';
import { Option } from 'commander';
import { USAGE_GROUPS, type UsageGroup, type UsageQuery, type UsageRow } from '../../../contracts/access/usage.js';
import type { Command } from '../command.js';
import type { GlobalOptions } from '../options.js';
import { printTable } from '../output/print.js';
import { say } from '../output/say.js';
import { jsonLine } from '../output/printable.js';
import { defined } from '../../defined.js';

interface Options extends GlobalOptions, Omit<UsageQuery, 'by'> {
  readonly by: UsageGroup;
}

/** `ksi usage` */
export function register(program: Command): void {
  program
    .command('usage')
    .description('Show the tokens and cost of ended tasks, as reported by Claude')
    .addOption(new Option('--by <what>', 'the grouping').choices([...USAGE_GROUPS]).default('day'))
    .option('--from <day>', 'the first day, UTC (default: 30 days ago)')
    .option('--to <day>', 'the last day, UTC (default: today)')
    .option('--owner <owner>', 'only tasks of this owner')
    .withExamples('ksi usage', 'ksi usage --by owner --from 2026-01-01 --to 2026-01-31')
    .calls(show);
}

async function show(client: KsiClient, options: Options): Promise<void> {
  const { by, from, to, owner } = options;
  const usage = client.usage({
    by,
    ...defined({ from, to, owner }),
  });
  const { next_cursor: _all, ...page } = await usage;
  const answer = { ...page, items: await usage.all() };
  if (options.output === 'json') {
    process.stdout.write(jsonLine(answer));
    return;
  }
  const rows = [...answer.items, ...(options.output === 'text' ? [{ ...answer.total, key: 'total' }] : [])];
  if (answer.items.length > 0) printTable(rows, { head: [by.toUpperCase(), ...HEAD], row }, options);
  else if (options.output === 'text') say(options, `No task ended from ${answer.from} to ${answer.to}.`);
}

const HEAD = ['TASKS', 'USD', 'INPUT', 'OUTPUT', 'CACHE READ', 'CACHE WRITTEN', 'TURNS'];

const row = (each: UsageRow): string[] => [
  each.key === '' ? '–' : each.key,
  String(each.tasks),
  each.cost_usd.toFixed(4),
  String(each.input_tokens),
  String(each.output_tokens),
  String(each.cache_read_tokens),
  String(each.cache_write_tokens),
  String(each.turns),
];
