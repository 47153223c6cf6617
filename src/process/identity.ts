import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process, told from a later one that got the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the terms of its system; it means something only compared with another. */
  readonly started: string;
}

/** @returns undefined when there is no such process (any more). */
export function identify(pid: number): ProcessIdentity | undefined {
  const started = process.platform === 'linux' ? startedOnLinux(pid) : startedByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

export const isAlive = (identity: ProcessIdentity): boolean => identify(identity.pid)?.started === identity.started;

/** Resident memory in bytes; undefined where it can't be told. */
export function memoryOf(pid: number): number | undefined {
  const status = read(`/proc/${pid}/status`);
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** Whether a signal (SIGSTOP) has stopped it; false where it can't be told. */
export const isStopped = (pid: number): boolean => /^[Tt]$/.test(statOf(pid)?.[0] ?? '');

/** The fields of `/proc/<pid>/stat` from the state on. */
function statOf(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold anything; the fields after it are the third and on.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function startedOnLinux(pid: number): string | undefined {
  const fields = statOf(pid);
  const [state, started] = [fields?.[0], fields?.[19]];
  // A zombie has ended; only its parent doesn't know yet.
  if (started === undefined || state === 'Z' || state === 'X') return undefined;
  return `${read('/proc/sys/kernel/random/boot_id')?.trim() ?? ''}:${started}`;
}

function startedByPs(pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined; // How ps says that there is none.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // Processes end while we look at them.
  }
}
