import type { Command } from '../command.js';
import type { ProcessStatus } from '../../cluster/managed-process.js';
import { EXIT } from '../exit.js';
import { showList, withWatch, type ListOptions } from '../list.js';
import { printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { duration } from '../output/times.js';

/** `ksi status` */
export function register(program: Command): void {
  withWatch(program.command('status'))
    .description(`Show the cluster's processes; the exit code is ${EXIT.failure} if it is not running`)
    .withExamples('ksi status', 'ksi status --watch', "ksi status -o json | jq '.processes[].state'")
    .runs(run);
}

async function run(options: ListOptions): Promise<number> {
  const { clusterStatus } = await import('../../cluster/status.js');
  const { readConfig } = await import('../../config/load.js');
  const { KSI_DIR } = readConfig(process.env);
  const none = `KSI is not running in ${KSI_DIR}. Start it with: ksi up`;
  if (options.watch === true) {
    const load = async (): Promise<readonly ProcessStatus[]> => (await clusterStatus(KSI_DIR))?.processes ?? [];
    const essence = ({ uptime_s: _up, memory_bytes: _memory, ...process }: ProcessStatus): unknown => process;
    const list = {
      load,
      key: ({ name }: ProcessStatus) => name,
      table: () => TABLE,
      empty: none,
      subjects: [],
      essence,
    };
    return showList(undefined, list, options);
  }
  const status = await clusterStatus(KSI_DIR);
  if (options.output === 'text' && status !== undefined)
    say(
      options,
      `KSI in ${status.endpoints.dir} is ${status.state}${status.demo ? ' (demo)' : ''}, supervisor ${status.pid}`,
    );
  if (options.output === 'text') printTable(status?.processes ?? [], TABLE, options);
  else printOne(status ?? { state: 'stopped', processes: [] }, () => '', options);
  if (status === undefined && options.output === 'text') process.stderr.write(`${none}\n`);
  return status === undefined ? EXIT.failure : EXIT.ok;
}

const TABLE: TableOf<ProcessStatus> = {
  head: ['PROCESS', 'STATE', 'PID', 'RESTARTS', 'UPTIME', 'MEMORY', 'ADDRESS', 'LAST END'],
  row: (process) => [
    process.name,
    process.state,
    String(process.pid ?? '-'),
    String(process.restarts),
    process.uptime_s === undefined ? '-' : duration(process.uptime_s),
    process.memory_bytes === undefined ? '-' : `${Math.round(process.memory_bytes / 1_048_576)} MB`,
    process.address ?? '-',
    process.last_end ?? '-',
  ],
};
