import type { Command } from '../../command.js';
import type { DeadSummary } from '../../../../contracts/tasks/dead-letters.js';
import { clientOf } from '../../client.js';
import { EXIT } from '../../exit.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { moreThere } from '../../output/more.js';
import { printTable, type TableOf } from '../../output/print.js';
import { say } from '../../output/say.js';
import { timesFor, type ShowTime } from '../../output/times.js';
import { runCommand } from '../../run.js';
import { filterOf, withFilter, type Filter } from './filter.js';

interface Options extends GlobalOptions, Filter {
  readonly limit: number;
}

const DEFAULT_LIMIT = 20;
/** Of one answer of the API. */
const MOST = 500;

/** `ksi dead list`, or `ksi dead` alone. */
export function register(dead: Command): void {
  withFilter(dead.command('list', { isDefault: true }))
    .description('List tasks that were given up, the oldest first')
    .option('-n, --limit <count>', 'how many', wholeNumber(1, MOST), DEFAULT_LIMIT)
    .withExamples('ksi dead', 'ksi dead --queue default -o json | jq -r ".[].error.code" | sort | uniq -c')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<Options>())));
}

async function list(options: Options): Promise<number> {
  await using client = clientOf(options);
  const { items: letters, next_cursor: more } = await client.dead.list({ ...filterOf(options), limit: options.limit });
  printTable(letters, table(timesFor(options)), options);
  if (options.output !== 'text') return EXIT.ok;
  if (letters.length === 0) say(options, 'No task was given up.');
  if (more !== undefined) say(options, moreThere(options.limit, MOST, '--queue or --owner'));
  return EXIT.ok;
}

const table = (when: ShowTime): TableOf<DeadSummary> => ({
  head: ['TASK', 'QUEUE', 'OWNER', 'GIVEN UP', 'BECAUSE', 'ERROR'],
  row: (letter) => [
    letter.task_id,
    letter.queue,
    letter.owner,
    when(letter.timestamp),
    letter.given_up,
    `${letter.error.code}: ${letter.error.message}`,
  ],
});
