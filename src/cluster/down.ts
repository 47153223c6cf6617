import { askSupervisor } from './control.js';
import { ClusterError } from './errors.js';
import { lockHolder } from '../process/folder-lock.js';
import { endStranger, signal } from '../process/end.js';
import { identify } from '../process/identity.js';
import { endLeftovers } from './leftovers.js';
import { clusterPaths } from './paths.js';

/** How long a supervisor may take to end once it has stopped everything. */
const SUPERVISOR_GRACE_MS = 10_000;
/** The same for a supervisor that still has to stop everything. */
const STOP_GRACE_MS = 300_000;

/**
 * Stops the cluster of a folder, in order, and resolves when all of it is gone, also what a supervisor that was killed has left.
 * Idempotent. @returns whether anything ran.
 */
export async function down(dir: string, progress: (text: string) => void): Promise<boolean> {
  const paths = clusterPaths(dir);
  let ran = false;
  // One that is suspended (SIGSTOP, Ctrl-Z) takes connections and answers none.
  const suspended = lockHolder(paths.claim);
  if (suspended !== undefined) signal(suspended.pid, 'SIGCONT');
  try {
    const { pid } = await askSupervisor(paths.socket, { op: 'status' });
    const supervisor = identify(pid);
    await askSupervisor(paths.socket, { op: 'down' }, { progress });
    ran = true;
    if (supervisor !== undefined) await endStranger(supervisor, SUPERVISOR_GRACE_MS);
  } catch (error) {
    if (!(error instanceof ClusterError) || !['not_running', 'not_answering'].includes(error.code)) throw error;
  }
  // A supervisor whose socket is lost would start again what we end.
  const holder = lockHolder(paths.claim);
  if (holder !== undefined) {
    progress(`stopping the supervisor (${holder.pid}), which does not answer at ${paths.socket}`);
    await endStranger(holder, STOP_GRACE_MS);
  }
  const left = await endLeftovers(paths, progress);
  return ran || holder !== undefined || left.length > 0;
}
