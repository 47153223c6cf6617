import { Option } from 'commander';
import type { Command } from '../command.js';
import type { UsageGroup, UsageQuery, UsageRow } from '../../../contracts/usage.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { renderTable } from '../output/table.js';
import { runCommand } from '../run.js';

interface Options extends GlobalOptions, Omit<UsageQuery, 'by'> {
  readonly by: UsageGroup;
}

/** `ksi usage`: what tasks took. */
export function register(program: Command): void {
  program
    .command('usage')
    .description('Tokens and US dollars that ended tasks took, as Claude counts them')
    .addOption(
      new Option('--by <what>', 'what is summed up together')
        .choices(['day', 'owner', 'token', 'session', 'model'])
        .default('day'),
    )
    .option('--from <day>', 'first day, UTC (default: 30 days ago)')
    .option('--to <day>', 'last day, UTC (default: today)')
    .option('--owner <owner>', 'only this owner’s')
    .withExamples('ksi usage', 'ksi usage --by owner --from 2026-01-01 --to 2026-01-31')
    .action((_options: unknown, command: Command) => runCommand(() => show(command.optsWithGlobals<Options>())));
}

async function show(options: Options): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const { by, from, to, owner } = options;
  const answer = await client.usage({
    by,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(owner === undefined ? {} : { owner }),
  });
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(answer)}\n`);
  else if (options.output === 'jsonl')
    for (const each of answer.rows) process.stdout.write(`${JSON.stringify(each)}\n`);
  else if (answer.rows.length === 0) process.stderr.write(`No task ended from ${answer.from} to ${answer.to}.\n`);
  else {
    const head = [by.toUpperCase(), 'TASKS', 'USD', 'INPUT', 'OUTPUT', 'CACHE READ', 'CACHE WRITTEN', 'TURNS'];
    const rows = [...answer.rows, { ...answer.total, key: 'total' }].map(row);
    process.stdout.write(`${renderTable(head, rows, process.stdout.columns ?? 120)}\n`);
  }
  return EXIT.ok;
}

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
