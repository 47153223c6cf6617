import { askSupervisor } from './control.js';
import { ClusterError } from './errors.js';
import { lockHolder } from '../process/folder-lock.js';
import { terminateProcess, signal } from '../process/terminate.js';
import { identify } from '../process/identity.js';
import { endLeftovers } from './leftovers.js';
import { clusterPaths } from './paths.js';

/** For a supervisor that has already stopped its processes. */
const SUPERVISOR_GRACE_MS = 10_000;
/** For a supervisor that must still stop its processes. */
const STOP_GRACE_MS = 300_000;

/**
 * Stops the cluster of a folder in order, and then any processes that a killed supervisor left. Resolves when all have ended. Idempotent.
 * @returns whether any process was running
 */
export async function down(dir: string, progress: (text: string) => void): Promise<boolean> {
  const paths = clusterPaths(dir);
  let ran = false;
  // A suspended supervisor (SIGSTOP, Ctrl-Z) accepts connections but does not answer.
  const maybeSuspended = lockHolder(paths.claim);
  if (maybeSuspended !== undefined) signal(maybeSuspended.pid, 'SIGCONT');
  try {
    const { pid } = await askSupervisor(paths.socket, { op: 'status' });
    const supervisor = identify(pid);
    await askSupervisor(paths.socket, { op: 'down' }, { progress });
    ran = true;
    if (supervisor !== undefined) await terminateProcess(supervisor, SUPERVISOR_GRACE_MS);
  } catch (error) {
    if (!(error instanceof ClusterError) || !['not_running', 'not_answering'].includes(error.code)) throw error;
  }
  // A supervisor without its socket would restart the processes that we end.
  const holder = lockHolder(paths.claim);
  if (holder !== undefined) {
    progress(`stopping the supervisor (${holder.pid}), which does not answer at ${paths.socket}`);
    await terminateProcess(holder, STOP_GRACE_MS);
  }
  const left = await endLeftovers(paths, progress);
  return ran || holder !== undefined || left.length > 0;
}
