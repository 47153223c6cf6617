import type { Command } from '../command.js';
import type { ProcessStatus } from '../../cluster/managed-process.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { runCommand } from '../run.js';

/** `ksi status`: the cluster's processes. */
export function register(program: Command): void {
  program
    .command('status')
    .description(`Show the cluster's processes; exit code ${EXIT.failure} when it doesn't run`)
    .withExamples('ksi status', 'ksi status --watch', "ksi status -o json | jq '.processes[].state'")
    .action((_options: unknown, command: Command) =>
      runCommand(() => run(command.optsWithGlobals<GlobalOptions>().output !== 'text')),
    );
}

async function run(json: boolean): Promise<number> {
  const { clusterStatus } = await import('../../cluster/status.js');
  const { readConfig } = await import('../../config.js');
  const { KSI_DIR } = readConfig(process.env);
  const status = await clusterStatus(KSI_DIR);
  if (json) {
    process.stdout.write(`${JSON.stringify(status ?? { state: 'stopped', processes: [] })}\n`);
  } else if (status === undefined) {
    process.stderr.write(`KSI is not running in ${KSI_DIR}. Start it with: make up\n`);
  } else {
    process.stderr.write(
      `KSI in ${status.endpoints.dir} is ${status.state}${status.demo ? ' (demo)' : ''}, supervisor ${status.pid}\n`,
    );
    process.stdout.write(`${table([HEAD, ...status.processes.map(row)])}\n`);
  }
  return status === undefined ? EXIT.failure : EXIT.ok;
}

const HEAD = ['PROCESS', 'STATE', 'PID', 'RESTARTS', 'UPTIME', 'MEMORY', 'ADDRESS', 'LAST END'];

const row = (process: ProcessStatus): string[] => [
  process.name,
  process.state,
  String(process.pid ?? '-'),
  String(process.restarts),
  process.uptime_s === undefined ? '-' : duration(process.uptime_s),
  process.memory_bytes === undefined ? '-' : `${Math.round(process.memory_bytes / 1_048_576)} MB`,
  process.address ?? '-',
  process.last_end ?? '-',
];

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  const hours = Math.floor(seconds / 3600);
  return hours < 24 ? `${hours}h${Math.floor((seconds % 3600) / 60)}m` : `${Math.floor(hours / 24)}d${hours % 24}h`;
}

function table(rows: readonly string[][]): string {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  return rows
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
