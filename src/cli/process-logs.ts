import { followLogs, loggedProcesses, showLogs } from '../cluster/logs.js';
import { readConfig } from '../config.js';

export interface ProcessLogOptions {
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
    return 1;
  }
  const wanted = names.length === 0 ? logged : names;
  const width = Math.max(...wanted.map((name) => name.length));
  const show = (name: string, line: string): void =>
    void process.stdout.write(
      `${wanted.length === 1 && names.length === 1 ? '' : `${name.padEnd(width)} | `}${line}\n`,
    );
  await showLogs(KSI_DIR, wanted, options.lines, show);
  if (options.follow === true)
    await untilInterrupted((signal) => followLogs(KSI_DIR, names.length === 0 ? undefined : names, show, signal));
  return 0;
}

async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  await work(interrupted.signal);
}
