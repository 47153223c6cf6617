import type { Command } from '../command.js';
import type { WorkerShown } from '../../../contracts/workers.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { ago, renderTable } from '../output/table.js';
import { runCommand } from '../run.js';

const DEFAULT_WIDTH = 120;

/** `ksi workers`: who takes tasks. */
export function register(program: Command): void {
  program
    .command('workers')
    .description('List the workers: what they run, which queues they serve, what contains their processes')
    .withExamples('ksi workers', 'ksi workers -o json | jq "map(.running) | add"')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<GlobalOptions>())));
}

async function list(options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const { workers } = await client.workers.list();
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(workers)}\n`);
  else if (options.output === 'jsonl')
    for (const worker of workers) process.stdout.write(`${JSON.stringify(worker)}\n`);
  else if (workers.length === 0)
    process.stderr.write('No worker is there; tasks wait. Look at the processes: ksi status\n');
  else process.stdout.write(`${renderTable(HEAD, workers.map(row), process.stdout.columns ?? DEFAULT_WIDTH)}\n`);
  return EXIT.ok;
}

const HEAD = ['WORKER', 'STATE', 'RUNS', 'QUEUES', 'CONTAINMENT', 'STARTED', 'SEEN', 'HOST'];

const row = (worker: WorkerShown): string[] => [
  worker.worker_id,
  worker.limited_until === undefined ? worker.state : `limited ${worker.limited_until}`,
  `${worker.running}/${worker.concurrency}`,
  worker.queues.join(','),
  worker.containment,
  ago(worker.started_at, Date.now()),
  ago(worker.seen_at, Date.now()),
  `${worker.host} (${worker.pid})`,
];
