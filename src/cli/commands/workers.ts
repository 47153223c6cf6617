import type { Command } from '../command.js';
import type { WorkerShown } from '../../../contracts/tasks/workers.js';
import { clientOf } from '../client.js';
import { showList, withWatch, type ListOptions } from '../list.js';
import type { TableOf } from '../output/print.js';
import type { ShowTime } from '../output/times.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { jsonLine } from '../output/printable.js';
import { say } from '../output/say.js';
import { runCommand } from '../run.js';

/** `ksi workers`: who takes tasks. */
export function register(program: Command): void {
  withWatch(program.command('workers'))
    .description('List the workers: what they run, which queues they serve, what contains their processes')
    .withExamples('ksi workers', 'ksi workers --watch', 'ksi workers -o json | jq "map(.running) | add"')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())))
    .command('lift-limit')
    .description("Let all workers take tasks again though Claude's usage limit names a later time")
    .withNotes('For a limit whose reset time is wrong. If the limit still holds, the next task finds that out.')
    .withExamples('ksi workers lift-limit')
    .action((_options: unknown, command: Command) => runCommand(() => lift(command.optsWithGlobals<GlobalOptions>())));
}

async function lift(options: GlobalOptions): Promise<number> {
  await using client = clientOf(options);
  const lifted = await client.workers.liftLimit();
  const { workers } = lifted;
  if (options.output !== 'text') process.stdout.write(jsonLine(lifted));
  else
    say(
      options,
      workers.length === 0 ? 'No worker says that a usage limit stops it.' : `Lifted for ${workers.join(', ')}`,
    );
  return EXIT.ok;
}

async function list(options: ListOptions): Promise<number> {
  await using client = clientOf(options);
  return await showList(
    client,
    {
      load: (signal) => client.workers.list({}, { signal }).all(),
      key: ({ worker_id: id }) => id,
      table,
      empty: 'No worker is there; tasks wait. Look at the processes: ksi status',
      subjects: ['ksi.events.worker.>', 'ksi.events.task.*.state.*'],
      // Each says every few seconds that it is there.
      essence: ({ seen_at: _seen, ...worker }) => worker,
    },
    options,
  );
}

const stateOf = (
  { state, limited_until: until, out_of_service: out, short_of: short }: WorkerShown,
  when: ShowTime,
): string =>
  [
    until === undefined ? state : `limited, ends ${when(until)}`,
    ...(short === undefined ? [] : ['short of resources (ksi doctor)']),
    ...(out === undefined ? [] : [`${out} ${out === 1 ? 'slot' : 'slots'} out of service (ksi doctor)`]),
  ].join(', ');

const table = (when: ShowTime): TableOf<WorkerShown> => ({
  head: ['WORKER', 'STATE', 'RUNS', 'QUEUES', 'CONTAINMENT', 'STARTED', 'SEEN', 'HOST'],
  row: (worker) => [
    worker.worker_id,
    stateOf(worker, when),
    `${worker.running}/${worker.concurrency}`,
    worker.queues.join(','),
    worker.containment,
    when(worker.started_at),
    when(worker.seen_at),
    `${worker.host} (${worker.pid})`,
  ],
});
