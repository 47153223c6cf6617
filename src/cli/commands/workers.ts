import type { KsiClient } from '../../client/client.js';
import type { Command } from '../command.js';
import type { WorkerView } from '../../../contracts/tasks/workers.js';
import { listed, withWatch } from '../list.js';
import type { TableOf } from '../output/print.js';
import type { ShowTime } from '../output/times.js';
import type { GlobalOptions } from '../options.js';
import { jsonLine } from '../output/printable.js';
import { say } from '../output/say.js';

/** `ksi workers` */
export function register(program: Command): void {
  withWatch(program.command('workers'))
    .description('List the workers, their load, queues and containment')
    .withExamples('ksi workers', 'ksi workers --watch', 'ksi workers -o json | jq "map(.running) | add"')
    .calls(list)
    .command('lift-limit')
    .description("Let all workers start tasks before Claude's usage limit resets")
    .withNotes('Use it if the reset time is wrong. If the limit still applies, the next task detects it.')
    .withExamples('ksi workers lift-limit')
    .calls(lift);
}

async function lift(client: KsiClient, options: GlobalOptions): Promise<void> {
  const lifted = await client.workers.liftLimit();
  const { workers } = lifted;
  if (options.output !== 'text') process.stdout.write(jsonLine(lifted));
  else
    say(options, workers.length === 0 ? 'No worker is stopped by a usage limit.' : `Lifted for ${workers.join(', ')}.`);
}

const list = listed((client) => ({
  load: (signal) => client.workers.list({}, { signal }).all(),
  key: ({ worker_id: id }) => id,
  table,
  empty: 'No workers, so tasks wait. Check the processes: ksi status',
  subjects: ['ksi.events.worker.>', 'ksi.events.task.*.state.*'],
  // Presence entries are renewed every few seconds.
  essence: ({ seen_at: _seen, ...worker }) => worker,
}));

const stateOf = (
  { state, limited_until: until, out_of_service: out, shortage: short }: WorkerView,
  when: ShowTime,
): string =>
  [
    until === undefined ? state : `limited, resets ${when(until)}`,
    ...(short === undefined ? [] : ['short of resources (ksi doctor)']),
    ...(out === undefined ? [] : [`${out} ${out === 1 ? 'slot' : 'slots'} out of service (ksi doctor)`]),
  ].join(', ');

const table = (when: ShowTime): TableOf<WorkerView> => ({
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
