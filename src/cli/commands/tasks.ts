import { Option } from 'commander';
import type { Command } from '../command.js';
import type { Task, TasksQuery } from '../../../contracts/http.js';
import { TASK_STATUSES, type TaskStatus } from '../../../contracts/states.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { EXIT } from '../exit.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { ago, renderTable } from '../output/table.js';
import { runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly status?: TaskStatus;
  readonly session?: string;
  readonly queue?: string;
  readonly metadata?: string;
  readonly limit: number;
}

const DEFAULT_LIMIT = 20;
/** Of one answer of the API. */
const MOST = 500;
const DEFAULT_WIDTH = 120;

/** `ksi tasks`: the newest tasks. */
export function register(program: Command): void {
  program
    .command('tasks')
    .description('List tasks, the newest first')
    .addOption(new Option('--status <status>', 'only these').choices([...TASK_STATUSES]))
    .option('-s, --session <session>', 'only those of a session: its UUID or name')
    .option('-q, --queue <queue>', 'only those of a queue')
    .option('--metadata <name=value>', 'only those with this')
    .option('-n, --limit <count>', 'how many', wholeNumber(1, MOST), DEFAULT_LIMIT)
    .withExamples('ksi tasks --status failed', 'ksi tasks --session notes -o json | jq -r ".[].task_id"')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<Options>())));
}

async function list(options: Options): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const query: TasksQuery = {
    limit: options.limit,
    ...(options.status === undefined ? {} : { status: options.status }),
    ...(options.session === undefined ? {} : { session_id: options.session }),
    ...(options.queue === undefined ? {} : { queue: options.queue }),
    ...(options.metadata === undefined ? {} : { metadata: options.metadata.replace('=', ':') }),
  };
  const { tasks, next_cursor: more } = await client.tasks.list(query);
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(tasks)}\n`);
  else if (options.output === 'jsonl') for (const task of tasks) process.stdout.write(`${JSON.stringify(task)}\n`);
  else if (tasks.length === 0) process.stderr.write('There are no such tasks. Run one: ksi spawn "Say hello"\n');
  else process.stdout.write(`${renderTable(HEAD, tasks.map(row), process.stdout.columns ?? DEFAULT_WIDTH)}\n`);
  if (options.output === 'text' && more !== undefined)
    process.stderr.write(
      options.limit === MOST
        ? 'There are more; filter them by --status, --session or --queue\n'
        : `There are more: --limit ${Math.min(MOST, options.limit * 5)}\n`,
    );
  return EXIT.ok;
}

const HEAD = ['TASK', 'STATUS', 'SESSION', 'CREATED', 'PROMPT'];

const row = (task: Task): string[] => [
  task.task_id,
  task.status,
  task.session_name ?? `…${task.session_id.slice(-8)}`,
  ago(task.created_at, Date.now()),
  task.prompt_preview,
];
