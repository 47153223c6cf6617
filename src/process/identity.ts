import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Identifies a process even if a later one gets the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The start time in a format of the system. Only comparisons are meaningful. */
  readonly started: string;
}

/** @returns undefined if the process does not exist or has ended. */
export function identify(pid: number): ProcessIdentity | undefined {
  const started = process.platform === 'linux' ? startedOnLinux(pid) : startedByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

export const isAlive = (identity: ProcessIdentity): boolean => identify(identity.pid)?.started === identity.started;

/** Resident memory in bytes. Undefined where the system does not show it. */
export function memoryOf(pid: number): number | undefined {
  const status = read(`/proc/${pid}/status`);
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** Whether a signal such as SIGSTOP has suspended the process. False where the system does not show it. */
export const isStopped = (pid: number): boolean => /^[Tt]$/.test(statOf(pid)?.[0] ?? '');

/** The fields of `/proc/<pid>/stat` from the state on. */
function statOf(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  // The process name, in parentheses, may contain any character. The third field follows it.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function startedOnLinux(pid: number): string | undefined {
  const fields = statOf(pid);
  const [state, started] = [fields?.[0], fields?.[19]];
  // A zombie has ended; its parent has not collected it yet.
  if (started === undefined || state === 'Z' || state === 'X') return undefined;
  return `${read('/proc/sys/kernel/random/boot_id')?.trim() ?? ''}:${started}`;
}

function startedByPs(pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined; // ps fails if there is no such process.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // Processes end while we look at them.
  }
}
