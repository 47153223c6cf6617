import type { Command } from '../../command.js';
import type { DeadSummary } from '../../../../contracts/http.js';
import { KsiClient } from '../../../client/client.js';
import { findConnection } from '../../connection.js';
import { EXIT } from '../../exit.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { writeRecords } from '../../output/records.js';
import { ago, renderTable } from '../../output/table.js';
import { runCommand } from '../../run.js';
import { filterOf, withFilter, type Filter } from './filter.js';

interface Options extends GlobalOptions, Filter {
  readonly limit: number;
}

const DEFAULT_LIMIT = 20;
/** Of one answer of the API. */
const MOST = 500;
const DEFAULT_WIDTH = 120;

/** `ksi dead list`, or `ksi dead` alone. */
export function register(dead: Command): void {
  withFilter(dead.command('list', { isDefault: true }))
    .description('List tasks that were given up, the oldest first')
    .option('-n, --limit <count>', 'how many', wholeNumber(1, MOST), DEFAULT_LIMIT)
    .withExamples('ksi dead', 'ksi dead --queue default -o json | jq -r ".[].error.code" | sort | uniq -c')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<Options>())));
}

async function list(options: Options): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const { letters, next_cursor: more } = await client.dead.list({ ...filterOf(options), limit: options.limit });
  if (options.output !== 'text') {
    writeRecords(letters, options.output, JSON.stringify);
    return EXIT.ok;
  }
  if (letters.length === 0) process.stderr.write('No task was given up.\n');
  else process.stdout.write(`${renderTable(HEAD, letters.map(row), process.stdout.columns ?? DEFAULT_WIDTH)}\n`);
  if (more !== undefined)
    process.stderr.write(
      options.limit === MOST
        ? 'There are more; filter them by --queue or --owner\n'
        : `There are more: --limit ${Math.min(MOST, options.limit * 5)}\n`,
    );
  return EXIT.ok;
}

const HEAD = ['TASK', 'QUEUE', 'OWNER', 'GIVEN UP', 'BECAUSE', 'ERROR'];

const row = (letter: DeadSummary): string[] => [
  letter.task_id,
  letter.queue,
  letter.owner,
  ago(letter.timestamp, Date.now()),
  letter.given_up,
  `${letter.error.code}: ${letter.error.message}`,
];
