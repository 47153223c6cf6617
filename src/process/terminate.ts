import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, type ProcessIdentity } from './identity.js';

/** The system reports the end of a process only to its parent, so others must poll. */
const POLL_MS = 50;

/** Sends a signal. @returns false if the process does not exist */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Ends a process that is not our child: SIGTERM first, then SIGKILL to its group after `graceMs`.
 * Resolves when the process is gone. Never touches a later process with the same pid.
 */
export async function terminateProcess(identity: ProcessIdentity, graceMs: number): Promise<void> {
  if (!isAlive(identity)) return;
  signal(identity.pid, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  let killed = false;
  while (isAlive(identity)) {
    if (!killed && performance.now() > deadline) {
      killed = true;
      killGroup(identity.pid);
    }
    await sleep(POLL_MS);
  }
}

/** Sends SIGKILL to the process group that `pid` leads, or to the process if it leads none. */
export function killGroup(pid: number): void {
  if (!signal(-pid, 'SIGKILL')) signal(pid, 'SIGKILL');
}
