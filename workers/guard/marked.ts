import { readdirSync, readFileSync } from 'node:fs';

/**
 * The processes whose environment holds `NAME=value`, as they were when they started: also those that have left their
 * parent, group and session. Linux only; elsewhere none are found.
 */
export function processesMarked(marker: string): number[] {
  return (readable(() => readdirSync('/proc')) ?? [])
    .filter((entry) => /^\d+$/.test(entry) && isMarked(entry, marker))
    .map(Number);
}

function isMarked(pid: string, marker: string): boolean {
  const environment = readable(() => readFileSync(`/proc/${pid}/environ`, 'utf8'));
  return environment?.split('\0').includes(marker) === true;
}

/** Processes end while we look at them, and those of other users are not ours to read. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
