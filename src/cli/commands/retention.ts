import type { KsiClient } from '../../client/client.js';
import type { RetentionAges, RetentionItem } from '../../../contracts/retention/retention.js';
import type { Command } from '../command.js';
import type { GlobalOptions } from '../options.js';
import { jsonLine } from '../output/printable.js';
import { printTable } from '../output/print.js';
import { say } from '../output/say.js';
import { duration, timesFor } from '../output/times.js';
import { lengthOfTime } from '../times-given.js';
import { defined } from '../../defined.js';

interface Options extends GlobalOptions {
  readonly tasks?: number;
  readonly sessions?: number;
  readonly dryRun?: true;
}

/** `ksi retention` */
export function register(program: Command): void {
  const retention = program
    .command('retention')
    .description('Show how long ended tasks and unused sessions are kept, or what would be deleted')
    .option('--dry-run', 'delete nothing; list what would be deleted now')
    .option('--tasks <age>', 'with --dry-run: assume this age for tasks: 7d', lengthOfTime)
    .option('--sessions <age>', 'with --dry-run: assume this age for sessions: 90d', lengthOfTime)
    .withExamples('ksi retention', 'ksi retention --dry-run --tasks 7d --sessions 30d')
    .calls(show);
  retention
    .command('set')
    .description("Set shorter ages for your own tasks and sessions; without options, restore the operator's")
    .option('--tasks <age>', 'ended tasks: 7d', lengthOfTime)
    .option('--sessions <age>', 'sessions, from their last use: 30d', lengthOfTime)
    .withExamples('ksi retention set --tasks 7d --sessions 30d', 'ksi retention set')
    .calls(set);
  retention
    .command('run')
    .description('Apply ages and size limits now (scope admin)')
    .withExamples('ksi retention run')
    .calls(run);
}

const agesOf = ({ tasks, sessions }: Options): RetentionAges => defined({ tasks_s: tasks, sessions_s: sessions });

const shown = (seconds: number | undefined): string => (seconds === undefined ? 'forever' : duration(seconds));

async function show(client: KsiClient, options: Options): Promise<void> {
  if (options.dryRun === true) {
    const preview = await client.retention.preview(agesOf(options));
    if (options.output !== 'text') return json(preview);
    if (preview.items.length > 0) printTable(preview.items, { head: HEAD, row: rowFor(options) }, options);
    const more = preview.more ? ' at least' : '';
    say(options, `Would delete${more} ${preview.sessions} sessions and ${preview.tasks} tasks.`);
    return;
  }
  const all = await client.retention.get();
  if (options.output !== 'text') return json(all);
  const { operator, own, effective } = all;
  const rows = [
    { what: 'tasks, from their end', of: (ages: RetentionAges) => ages.tasks_s },
    { what: 'sessions, from their last use', of: (ages: RetentionAges) => ages.sessions_s },
  ];
  const row = ({ what, of }: (typeof rows)[number]): string[] => [
    what,
    ...[operator, own, effective].map(of).map(shown),
  ];
  printTable(rows, { head: ['KEPT', 'OPERATOR', 'YOURS', 'EFFECTIVE'], row }, options);
  if (!all.enabled) say(options, 'Nothing is deleted because of its age: KSI_RETENTION is off.');
}

const HEAD = ['KIND', 'ID', 'OWNER', 'LAST USED', 'TRANSCRIPT', 'WORKSPACE'];

function rowFor(options: Options): (item: RetentionItem) => string[] {
  const when = timesFor(options);
  return ({ kind, id, owner, last_used_at, bytes, workspace_bytes: workspace }) => [
    kind,
    id,
    owner,
    when(last_used_at),
    bytes?.toString() ?? '',
    workspace?.toString() ?? (kind === 'session' ? 'unknown' : ''),
  ];
}

async function set(client: KsiClient, options: Options): Promise<void> {
  const { effective } = await client.retention.set(agesOf(options));
  if (options.output !== 'text') return json(effective);
  say(options, `Tasks are kept ${shown(effective.tasks_s)}, sessions ${shown(effective.sessions_s)}.`);
}

async function run(client: KsiClient, options: Options): Promise<void> {
  let [tasks, sessions, more] = [0, 0, true];
  while (more) {
    const done = await client.retention.run();
    tasks += done.tasks;
    sessions += done.sessions;
    // Stop if nothing was deleted: some objects may be refused every time.
    more = done.more && done.tasks + done.sessions > 0;
    if (more) say(options, `${sessions} sessions and ${tasks} tasks deleted so far`);
  }
  if (options.output !== 'text') return json({ tasks, sessions });
  say(options, `${sessions} sessions and ${tasks} tasks deleted.`);
}

function json(data: object): void {
  process.stdout.write(jsonLine(data));
}
