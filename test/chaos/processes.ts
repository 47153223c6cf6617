import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { workerMarker } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';

/** How often the processes are looked at: the system tells nobody but a parent of an end. */
const LOOK_MS = 50;

/** Ids of the workers whose processes of Claude run below `pid`. */
export function workersBelow(pid: number, marker: string): string[] {
  const ids = processesTagged(marker)
    .filter((candidate) => ancestors(candidate).includes(pid))
    .map((candidate) => environmentOf(candidate, 'KSI_WORKER_ID'));
  return [...new Set(ids.filter((id) => id !== undefined))];
}

/** Waits until no process of Claude is left of these workers. @returns those that are, and how long it took. */
export async function untilGone(
  workerIds: readonly string[],
  withinMs: number,
): Promise<{ count: number; goneMs: number; left: number[] }> {
  const begun = performance.now();
  const of = (): number[] => workerIds.flatMap((id) => processesTagged(workerMarker(id)));
  const count = of().length;
  for (;;) {
    const left = of();
    const goneMs = Math.round(performance.now() - begun);
    if (left.length === 0 || goneMs > withinMs) return { count, goneMs, left };
    await sleep(LOOK_MS);
  }
}

function ancestors(pid: number): number[] {
  const found: number[] = [];
  for (let at = parentOf(pid); at !== undefined && at > 1 && !found.includes(at); at = parentOf(at)) found.push(at);
  return found;
}

function parentOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold anything; then come the state and the parent.
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

function environmentOf(pid: number, name: string): string | undefined {
  return read(`/proc/${pid}/environ`)
    ?.split('\0')
    .find((entry) => entry.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

/** Processes end while we look at them. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
