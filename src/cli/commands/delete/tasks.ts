import { Option } from 'commander';
import type { TasksDeleted, TasksDeleteQuery } from '../../../../contracts/retention/deletion.js';
import { isEnded, TASK_STATUSES } from '../../../../contracts/tasks/states.js';
import type { KsiClient } from '../../../client/client.js';
import { clientOf } from '../../client.js';
import { defined } from '../../../defined.js';
import type { Command } from '../../command.js';
import { agreed, mustBeAskable } from '../../confirm.js';
import { CliError, EXIT } from '../../exit.js';
import type { GlobalOptions } from '../../options.js';
import { jsonLine } from '../../output/printable.js';
import { say } from '../../output/say.js';
import { Spinner } from '../../output/spinner.js';
import { moment } from '../../times-given.js';

interface Options extends GlobalOptions {
  readonly status?: NonNullable<TasksDeleteQuery['status']>;
  readonly owner?: string;
  readonly before?: string;
  readonly session?: string;
  readonly queue?: string;
  readonly metadata?: string;
  readonly dryRun?: true;
  readonly yes?: true;
}

interface Totals {
  readonly deleted: number;
  readonly refused: number;
}

/** Page sizes. Counting is fast; deletions are paged so that progress shows every second or two. */
const COUNT_PAGE = 500;
const DELETE_PAGE = 100;

/** `ksi delete tasks` */
export function register(remove: Command): void {
  remove
    .command('tasks')
    .description('Delete all matching ended tasks, and sessions without other tasks; open tasks are kept')
    .addOption(
      new Option('--status <status...>', 'only these').choices(TASK_STATUSES.filter((status) => isEnded(status))),
    )
    .option('--owner <owner>', 'only tasks of this owner')
    .option('--before <when>', 'only tasks that ended before this time: 30d (ago), or a date', moment)
    .option('-s, --session <session>', 'only tasks of this session: its UUID or name')
    .option('-q, --queue <queue>', 'only tasks of this queue')
    .option('--metadata <name=value>', 'only tasks with this metadata')
    .option('--dry-run', 'delete nothing; print how many tasks match')
    .option('-y, --yes', 'do not ask; required without a terminal')
    .withValues({ session: 'sessions', queue: 'queues' })
    .withExamples('ksi delete tasks --before 30d --dry-run', 'ksi delete tasks --status failed --queue nightly --yes')
    .runs(removeTasks);
}

async function removeTasks(options: Options): Promise<number> {
  const query = queryOf(options);
  if (Object.keys(query).length === 0)
    throw new CliError(
      'No filter given. Name the tasks to delete, for example --before 30d or --status failed.',
      EXIT.usage,
    );
  if (options.dryRun !== true) mustBeAskable('all tasks that match', options);
  await using client = clientOf(options);
  const matching = await sumUp(client, { ...query, dry_run: true, limit: COUNT_PAGE }, options, (sofar) => {
    return `${sofar.deleted} tasks match so far`;
  });
  if (options.dryRun === true)
    return report({ matching: matching.deleted }, `${matching.deleted} tasks match.`, options);
  if (matching.deleted === 0) return report({ deleted: 0, refused: 0 }, 'No ended task matches.', options);
  if (!(await agreed(`${matching.deleted} tasks`, options))) return EXIT.failure;
  const { deleted, refused } = await sumUp(client, { ...query, limit: DELETE_PAGE }, options, (sofar) => {
    return `${sofar.deleted} of ${matching.deleted} tasks deleted`;
  });
  const kept = refused === 0 ? '' : ` ${refused} could not be deleted; run this again.`;
  report({ deleted, refused }, `${deleted} tasks deleted.${kept}`, options);
  return refused === 0 ? EXIT.ok : EXIT.failure;
}

const queryOf = ({ status, owner, before, session, queue, metadata }: Options): TasksDeleteQuery =>
  defined({
    status,
    owner,
    ended_before: before,
    session_id: session,
    queue,
    metadata: metadata?.replace('=', ':'),
  });

/** Requests all pages and shows the progress. */
async function sumUp(
  client: KsiClient,
  query: TasksDeleteQuery,
  { quiet }: GlobalOptions,
  label: (sofar: Totals) => string,
): Promise<Totals> {
  using spinner = new Spinner(process.stderr, quiet !== true);
  let sofar: Totals = { deleted: 0, refused: 0 };
  spinner.show(label(sofar));
  for await (const page of client.tasks.deleteMatching(query)) {
    sofar = added(sofar, page);
    spinner.label(label(sofar));
  }
  return sofar;
}

const added = ({ deleted, refused }: Totals, page: TasksDeleted): Totals => ({
  deleted: deleted + page.deleted,
  refused: refused + page.refused.length,
});

function report(data: Readonly<Record<string, number>>, text: string, options: GlobalOptions): number {
  if (options.output === 'json' || options.output === 'jsonl') process.stdout.write(jsonLine(data));
  else say(options, text);
  return EXIT.ok;
}
