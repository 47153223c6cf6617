import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../../src/process/terminate.js';
import { processesTagged } from '../../src/process/tagged-processes.js';

/** Processes that a run may have left: its process groups, and those with its marker in their environment. */
export interface Leftovers {
  readonly groups: readonly number[];
  /** `NAME=value` */
  readonly marker: string;
}

const POLL_MS = 50;
/** A process that survives SIGKILL is stuck in the kernel, so waiting longer does not help. */
const MAX_POLLS = 100;

/** Sends SIGKILL to the processes, and repeats until none is left, because a process may fork meanwhile. */
export async function reap({ groups, marker }: Leftovers): Promise<void> {
  for (const group of groups) signal(-group, 'SIGKILL');
  for (let polls = 0; polls < MAX_POLLS; polls++) {
    const marked = processesTagged(marker);
    if (marked.length === 0) return;
    for (const pid of marked) signal(pid, 'SIGKILL');
    await sleep(POLL_MS);
  }
}
