import { readdirSync, readFileSync } from 'node:fs';

/** The environment that a process was started with; undefined when the system does not show it. Linux only. */
export function environmentOf(pid: number): ReadonlySet<string> | undefined {
  try {
    return new Set(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0'));
  } catch {
    return undefined; // Processes end while we look at them, and those of other users are not ours to read.
  }
}

/**
 * The processes whose environment holds `NAME=value`, as they were when they started: also those that have left their
 * parent, group and session. Linux only; elsewhere none are found.
 */
export const processesMarked = (marker: string): number[] =>
  pids().filter((pid) => environmentOf(pid)?.has(marker) === true);

function pids(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isSafeInteger);
  } catch {
    return []; // No /proc on this system.
  }
}
