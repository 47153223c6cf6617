import type { KsiClient } from '../../client/client.js';
import { Option } from 'commander';
import type { Command } from '../command.js';
import type { Task, TaskPage, TasksQuery } from '../../../contracts/tasks/task.js';
import { TASK_STATUSES, type TaskStatus } from '../../../contracts/tasks/states.js';
import { defined } from '../../defined.js';
import { showList, withWatch, type ListOptions } from '../list.js';
import { wholeNumber } from '../options.js';
import { moreThere } from '../output/more.js';
import type { TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import type { ShowTime } from '../output/times.js';

interface Options extends ListOptions {
  readonly status?: TaskStatus[];
  readonly session?: string;
  readonly queue?: string;
  readonly metadata?: string;
  readonly spawnedBy?: string;
  readonly exchange?: string;
  readonly limit: number;
  readonly include?: 'output' | 'not_accepted';
}

const DEFAULT_LIMIT = 20;
/** The API's maximum page size. */
const MAX_ITEMS = 500;

/** `ksi tasks` */
export function register(program: Command): void {
  withWatch(program.command('tasks'))
    .description('List tasks, newest first')
    .addOption(new Option('--status <status...>', 'only these').choices([...TASK_STATUSES]))
    .option('-s, --session <session>', 'only tasks of this session: its UUID or name')
    .option('-q, --queue <queue>', 'only tasks of this queue')
    .option('--metadata <name=value>', 'only tasks with this metadata')
    .option('--spawned-by <task>', 'only tasks that this task spawned, with their total cost')
    .option('--exchange <message>', 'only tasks of this exchange, with their total cost')
    .option('-n, --limit <count>', 'the maximum number', wholeNumber(1, MAX_ITEMS), DEFAULT_LIMIT)
    .addOption(
      new Option(
        '--include <field>',
        'output: include outputs, with -o json; not_accepted: include tasks that were not accepted',
      ).choices(['output', 'not_accepted']),
    )
    .withValues({ session: 'sessions', queue: 'queues' })
    .withExamples(
      'ksi tasks --watch',
      'ksi tasks --status failed',
      'ksi tasks --session notes -o json | jq -r ".[].task_id"',
    )
    .calls(list);
}

async function list(client: KsiClient, options: Options): Promise<number> {
  const query: TasksQuery = defined({
    limit: options.limit,
    status: options.status,
    session_id: options.session,
    queue: options.queue,
    spawned_by: options.spawnedBy,
    exchange_id: options.exchange,
    include: options.include,
    metadata: options.metadata?.replace('=', ':'),
  });
  let more = false;
  let total: TaskPage['total'];
  const exitCode = await showList(
    client,
    {
      load: async (signal) => {
        const page = await client.tasks.list(query, { signal });
        const { items, next_cursor: next } = page;
        ({ total } = page);
        more = next !== undefined;
        return items;
      },
      key: ({ task_id: id }) => id,
      table,
      empty: 'No matching tasks. Run one: ksi spawn "Say hello"',
      subjects: ['ksi.events.task.*.state.*', 'ksi.events.task.*.deleted'],
    },
    options,
  );
  if (total !== undefined && options.output === 'text' && options.watch !== true)
    say(options, `${total.tasks} tasks, ${total.open} open: $${total.usage.cost_usd.toFixed(4)}`);
  if (more && options.output === 'text' && options.watch !== true)
    say(options, moreThere(options.limit, MAX_ITEMS, '--status, --session or --queue'));
  return exitCode;
}

const table = (when: ShowTime): TableOf<Task> => ({
  head: ['TASK', 'STATUS', 'SESSION', 'CREATED', 'PROMPT'],
  row: (task) => [
    task.task_id,
    task.status,
    task.session_name ?? `…${task.session_id.slice(-8)}`,
    when(task.created_at),
    task.prompt_preview,
  ],
});
