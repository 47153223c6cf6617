import { followLogs, loggedProcesses, showLogs } from '../cluster/logs.js';
import { readConfig } from '../config/load.js';
import { parseJson } from '../json.js';
import { EXIT } from './exit.js';
import type { GlobalOptions } from './options.js';
import { jsonLine, shownOn } from './output/printable.js';

export interface ProcessLogOptions extends Pick<GlobalOptions, 'output'> {
  readonly follow?: boolean;
  readonly lines: number;
}

/** @returns the exit code. */
export async function showProcessLogs(names: readonly string[], options: ProcessLogOptions): Promise<number> {
  const { KSI_DIR } = readConfig(process.env);
  const logged = await loggedProcesses(KSI_DIR);
  const unknown = names.filter((name) => !logged.includes(name));
  if (logged.length === 0 || unknown.length > 0) {
    const there = logged.length === 0 ? `There are no logs in ${KSI_DIR}.` : `There are logs of: ${logged.join(', ')}.`;
    process.stderr.write(`${unknown.length === 0 ? '' : `No process ${unknown.join(', ')}. `}${there}\n`);
    return EXIT.failure;
  }
  const wanted = names.length === 0 ? logged : names;
  const width = Math.max(...wanted.map((name) => name.length));
  const prefixed = wanted.length > 1 || names.length === 0;
  const show = (name: string, line: string): void => {
    if (options.output === 'none') return;
    const text = prefixed ? `${name.padEnd(width)} | ${line}` : line;
    process.stdout.write(
      options.output === 'text' ? shownOn(process.stdout, `${text}\n`) : jsonLine(recordOf(name, line)),
    );
  };
  await showLogs(KSI_DIR, wanted, options.lines, show);
  if (options.follow === true)
    await untilInterrupted((signal) => followLogs(KSI_DIR, names.length === 0 ? undefined : names, show, signal));
  return EXIT.ok;
}

/** A line is JSON, or what something printed that is not ours. */
function recordOf(process: string, line: string): Record<string, unknown> {
  const logged = parseJson(Buffer.from(line));
  return typeof logged === 'object' && logged !== null ? { process, ...logged } : { process, msg: line };
}

async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  await work(interrupted.signal);
}
