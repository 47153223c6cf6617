import type { RetentionAges, RetentionItem } from '../../../contracts/retention/retention.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { jsonLine } from '../output/printable.js';
import { printTable } from '../output/print.js';
import { say } from '../output/say.js';
import { duration, timesFor } from '../output/times.js';
import { runCommand } from '../run.js';
import { lengthOfTime } from '../times-given.js';

interface Options extends GlobalOptions {
  readonly tasks?: number;
  readonly sessions?: number;
  readonly dryRun?: true;
}

/** `ksi retention`: how long tasks and sessions are kept. */
export function register(program: Command): void {
  const retention = program
    .command('retention')
    .description('Show how long ended tasks and unused sessions are kept, or what would be deleted now')
    .option('--dry-run', 'delete nothing; list what would be deleted now')
    .option('--tasks <age>', 'with --dry-run: as if tasks were kept so long: 7d', lengthOfTime)
    .option('--sessions <age>', 'with --dry-run: as if sessions were kept so long: 90d', lengthOfTime)
    .withExamples('ksi retention', 'ksi retention --dry-run --tasks 7d --sessions 30d')
    .action((_options: unknown, command: Command) => runCommand(() => show(command.optsWithGlobals<Options>())));
  retention
    .command('set')
    .description('Keep your own tasks and sessions for a shorter time than the operator does; without ages, as long')
    .option('--tasks <age>', 'ended tasks: 7d', lengthOfTime)
    .option('--sessions <age>', 'sessions, from their last use: 30d', lengthOfTime)
    .withExamples('ksi retention set --tasks 7d --sessions 30d', 'ksi retention set')
    .action((_options: unknown, command: Command) => runCommand(() => set(command.optsWithGlobals<Options>())));
  retention
    .command('run')
    .description('Delete now what is older or takes more than it may (scope admin)')
    .withExamples('ksi retention run')
    .action((_options: unknown, command: Command) => runCommand(() => run(command.optsWithGlobals<Options>())));
}

const agesOf = ({ tasks, sessions }: Options): RetentionAges => ({
  ...(tasks === undefined ? {} : { tasks_s: tasks }),
  ...(sessions === undefined ? {} : { sessions_s: sessions }),
});

const shown = (seconds: number | undefined): string => (seconds === undefined ? 'for ever' : duration(seconds));

async function show(options: Options): Promise<number> {
  await using client = clientOf(options);
  if (options.dryRun === true) {
    const preview = await client.retention.preview(agesOf(options));
    if (options.output !== 'text') return json(preview);
    if (preview.items.length > 0) printTable(preview.items, { head: HEAD, row: rowFor(options) }, options);
    const more = preview.more ? ' at least' : '';
    say(options, `Would delete${more} ${preview.sessions} sessions and ${preview.tasks} tasks.`);
    return EXIT.ok;
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
  printTable(rows, { head: ['KEPT', 'OPERATOR', 'YOURS', 'HOLDS'], row }, options);
  if (!all.enabled) say(options, 'Nothing is deleted by its age: KSI_RETENTION is off.');
  return EXIT.ok;
}

const HEAD = ['KIND', 'ID', 'OWNER', 'LAST USED', 'BYTES'];

function rowFor(options: Options): (item: RetentionItem) => string[] {
  const when = timesFor(options);
  return ({ kind, id, owner, last_used_at, bytes }) => [kind, id, owner, when(last_used_at), bytes?.toString() ?? ''];
}

async function set(options: Options): Promise<number> {
  await using client = clientOf(options);
  const { effective } = await client.retention.set(agesOf(options));
  if (options.output !== 'text') return json(effective);
  say(options, `Tasks are kept ${shown(effective.tasks_s)}, sessions ${shown(effective.sessions_s)}.`);
  return EXIT.ok;
}

async function run(options: Options): Promise<number> {
  await using client = clientOf(options);
  let [tasks, sessions, more] = [0, 0, true];
  while (more) {
    const done = await client.retention.run();
    tasks += done.tasks;
    sessions += done.sessions;
    // What is refused again and again must not keep this running.
    more = done.more && done.tasks + done.sessions > 0;
    if (more) say(options, `${sessions} sessions and ${tasks} tasks deleted so far`);
  }
  if (options.output !== 'text') return json({ tasks, sessions });
  say(options, `${sessions} sessions and ${tasks} tasks deleted.`);
  return EXIT.ok;
}

function json(data: object): number {
  process.stdout.write(jsonLine(data));
  return EXIT.ok;
}
