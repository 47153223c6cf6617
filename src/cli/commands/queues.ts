import type { KsiClient } from '../../client/client.js';
import type { QueueView } from '../../../contracts/tasks/queues.js';
import type { WorkspaceView } from '../../../contracts/tasks/workspace.js';
import type { Command } from '../command.js';
import { showList, withWatch, type ListOptions } from '../list.js';
import type { TableOf } from '../output/print.js';

interface Options extends ListOptions {
  readonly workspaces?: true;
}

/** `ksi queues` */
export function register(program: Command): void {
  withWatch(program.command('queues'))
    .description('List the queues, their tasks by priority, and the number of workers that serve them')
    .option('--workspaces', 'list the workspaces instead, with their writers, readers and waiting tasks')
    .withNotes(
      'READY tasks can start at once: high, normal, low, and next, whose session has become free. WAITING tasks wait for their session. PARKED tasks wait for their next attempt or their workspace.',
    )
    .withExamples(
      'ksi queues',
      'ksi queues --watch',
      'ksi queues --workspaces',
      "ksi queues -o json | jq '.[] | select(.workers == [])'",
    )
    .calls(list);
}

async function list(client: KsiClient, options: Options): Promise<number> {
  if (options.workspaces === true)
    return await showList(
      client,
      {
        load: (signal) => client.queues.workspaces({}, { signal }).all(),
        key: ({ workspace }) => workspace,
        table: () => WORKSPACES,
        empty: 'No workspaces are in use.',
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
      empty: 'No queues. Name them in KSI_QUEUES and restart the cluster.',
      subjects: ['ksi.events.task.*.state.*', 'ksi.events.worker.>'],
    },
    options,
  );
}

const TABLE: TableOf<QueueView> = {
  head: ['QUEUE', 'TASKS', 'RUNNING', 'READY', 'WAITING', 'PARKED', 'LIMIT', 'WORKERS'],
  row: ({ queue, tasks, running, ready: runPriorities, waiting, parked, limit, workers }) => [
    queue,
    String(tasks),
    String(running),
    Object.entries(runPriorities)
      .filter(([, count]) => count > 0)
      .map(([runPriority, count]) => `${runPriority} ${count}`)
      .join(', ') || '0',
    String(waiting),
    String(parked),
    String(limit),
    workers.length === 0 ? 'none: tasks wait' : String(workers.length),
  ],
};

const WORKSPACES: TableOf<WorkspaceView> = {
  head: ['WORKSPACE', 'LIMIT', 'WRITERS', 'READERS', 'WAITING', 'NEXT'],
  row: ({ workspace, limit, writers, readers, waiting }) => [
    workspace,
    limit === 0 ? 'none' : String(limit),
    writers.map(({ task_id: id = 'another owner’s' }) => id).join(', ') || 'none',
    String(readers.length),
    String(waiting.length),
    waiting[0]?.task_id ?? '',
  ],
};
