import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../../src/process/end.js';
import { processesTagged } from '../../src/process/tagged-processes.js';

/** What a run of Claude may have left: its process group, and whatever carries its marker in the environment. */
export interface Leftovers {
  readonly groups: readonly number[];
  /** `NAME=value`. */
  readonly marker: string;
}

const LOOK_MS = 50;
/** Something that no SIGKILL ends is stuck in the kernel: not ours to wait for. */
const MAX_LOOKS = 100;

/** Ends with SIGKILL what is left, and looks again until nothing is: a process may fork while it is being looked for. */
export async function reap({ groups, marker }: Leftovers): Promise<void> {
  for (const group of groups) signal(-group, 'SIGKILL');
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const marked = processesTagged(marker);
    if (marked.length === 0) return;
    for (const pid of marked) signal(pid, 'SIGKILL');
    await sleep(LOOK_MS);
  }
}
