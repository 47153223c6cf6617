import { readdirSync, readFileSync } from 'node:fs';

/** The environment at the start of a process. Undefined if the system does not show it. Linux only. */
export function environmentOf(pid: number): ReadonlySet<string> | undefined {
  try {
    return new Set(
      readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .filter((entry) => entry !== ''),
    );
  } catch {
    return undefined; // The process has ended, or belongs to another user.
  }
}

/**
 * The processes that were started with `NAME=value` in their environment, even if they have left their parent, group and session.
 * Linux only: elsewhere it finds none.
 * @throws {Error} for any other tag: callers end what is found, and an empty string is in every environment.
 */
export function processesTagged(tag: string): number[] {
  if (!/^\w+=./.test(tag)) throw new Error(`${JSON.stringify(tag)} is not a tag of the form NAME=value`);
  return pids().filter((pid) => environmentOf(pid)?.has(tag) === true);
}

function pids(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isSafeInteger);
  } catch {
    return []; // No /proc on this system.
  }
}
