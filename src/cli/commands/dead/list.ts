import type { KsiClient } from '../../../client/client.js';
import type { Command } from '../../command.js';
import type { DeadSummary } from '../../../../contracts/tasks/dead-letters.js';
import { wholeNumber, type GlobalOptions } from '../../options.js';
import { moreThere } from '../../output/more.js';
import { printTable, type TableOf } from '../../output/print.js';
import { say } from '../../output/say.js';
import { timesFor, type ShowTime } from '../../output/times.js';
import { filterOf, withFilter, type Filter } from './filter.js';

interface Options extends GlobalOptions, Filter {
  readonly limit: number;
}

const DEFAULT_LIMIT = 20;
/** The API's maximum page size. */
const MAX_ITEMS = 500;

/** `ksi dead list`, also `ksi dead` */
export function register(dead: Command): void {
  withFilter(dead.command('list', { isDefault: true }))
    .description('List dead letters, oldest first')
    .option('-n, --limit <count>', 'the maximum number', wholeNumber(1, MAX_ITEMS), DEFAULT_LIMIT)
    .withExamples('ksi dead', 'ksi dead --queue default -o json | jq -r ".[].error.code" | sort | uniq -c')
    .calls(list);
}

async function list(client: KsiClient, options: Options): Promise<void> {
  const { items: letters, next_cursor: more } = await client.dead.list({ ...filterOf(options), limit: options.limit });
  printTable(letters, table(timesFor(options)), options);
  if (options.output !== 'text') return;
  if (letters.length === 0) say(options, 'No dead letters.');
  if (more !== undefined) say(options, moreThere(options.limit, MAX_ITEMS, '--queue or --owner'));
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
