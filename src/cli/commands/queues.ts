import type { QueueShown } from '../../../contracts/tasks/queues.js';
import type { WorkspaceShown } from '../../../contracts/tasks/workspace.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { showList, withWatch, type ListOptions } from '../list.js';
import type { TableOf } from '../output/print.js';
import { runCommand } from '../run.js';

interface Options extends ListOptions {
  readonly workspaces?: true;
}

/** `ksi queues`: the classes of work. */
export function register(program: Command): void {
  withWatch(program.command('queues'))
    .description('List the queues: what stands in them, by priority, and how many workers serve them')
    .option('--workspaces', 'list the workspaces instead: which tasks write in them, and which wait for that')
    .withNotes(
      'READY is what a worker may take at once (high, normal, low, and those whose session has become free); WAITING for their session, PARKED for the time of their next attempt or for their workspace.',
    )
    .withExamples(
      'ksi queues',
      'ksi queues --watch',
      'ksi queues --workspaces',
      "ksi queues -o json | jq '.[] | select(.workers == [])'",
    )
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<Options>())));
}

async function list(options: Options): Promise<number> {
  await using client = clientOf(options);
  if (options.workspaces === true)
    return await showList(
      client,
      {
        load: (signal) => client.queues.workspaces({}, { signal }).all(),
        key: ({ workspace }) => workspace,
        table: () => WORKSPACES,
        empty: 'No task writes in a workspace.',
        subjects: ['ksi.events.task.*.state.*'],
      },
      options,
    );
  return await showList(
    client,
    {
      load: (signal) => client.queues.list({}, { signal }).all(),
      key: ({ queue }) => queue,
      table: () => TABLE,
      empty: 'There are no queues. Name some in KSI_QUEUES, and start the cluster anew.',
      subjects: ['ksi.events.task.*.state.*', 'ksi.events.worker.>'],
    },
    options,
  );
}

const TABLE: TableOf<QueueShown> = {
  head: ['QUEUE', 'TASKS', 'RUNNING', 'READY', 'WAITING', 'PARKED', 'LIMIT', 'WORKERS'],
  row: ({ queue, tasks, running, lanes, waiting, parked, limit, workers }) => [
    queue,
    String(tasks),
    String(running),
    Object.entries(lanes)
      .filter(([, count]) => count > 0)
      .map(([lane, count]) => `${lane} ${count}`)
      .join(', ') || '0',
    String(waiting),
    String(parked),
    String(limit),
    workers.length === 0 ? 'none: tasks wait' : String(workers.length),
  ],
};

const WORKSPACES: TableOf<WorkspaceShown> = {
  head: ['WORKSPACE', 'LIMIT', 'WRITERS', 'WAITING', 'NEXT'],
  row: ({ workspace, limit, writers, waiting }) => [
    workspace,
    String(limit),
    writers.map(({ task_id: id = 'another owner’s' }) => id).join(', ') || 'none',
    String(waiting.length),
    waiting[0]?.task_id ?? '',
  ],
};
