import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, type ProcessIdentity } from './identity.js';

/** How often a process that isn't our child is looked at: the system tells only parents of an end. */
const LOOK_MS = 50;

/** Sends a signal; a process that is gone is no error. @returns whether it was there. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Ends a process that isn't our child: SIGTERM, and SIGKILL to its group when it takes longer than `graceMs`.
 * Resolves when it is gone. Never touches another one that got the same pid.
 */
export async function endStranger(identity: ProcessIdentity, graceMs: number): Promise<void> {
  if (!isAlive(identity)) return;
  signal(identity.pid, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  let killed = false;
  while (isAlive(identity)) {
    if (!killed && performance.now() > deadline) {
      killed = true;
      killGroup(identity.pid);
    }
    await sleep(LOOK_MS);
  }
}

/** SIGKILL to a process and, when it leads one, its group. */
export function killGroup(pid: number): void {
  if (!signal(-pid, 'SIGKILL')) signal(pid, 'SIGKILL');
}
