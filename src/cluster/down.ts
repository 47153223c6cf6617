import { askSupervisor } from './control.js';
import { ClusterError } from './errors.js';
import { lockHolder } from '../process/folder-lock.js';
import { isAlive } from '../process/identity.js';
import { terminateProcess, signal } from '../process/terminate.js';
import { endLeftovers, leftovers } from './leftovers.js';
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
  const supervisor = lockHolder(paths.claim);
  // A suspended supervisor (SIGSTOP, Ctrl-Z) accepts connections but does not answer.
  if (supervisor !== undefined) signal(supervisor.pid, 'SIGCONT');
  let asked = false;
  try {
    await askSupervisor(paths.socket, { op: 'down' }, { progress });
    asked = true;
  } catch (error) {
    if (!(error instanceof ClusterError) || !['not_running', 'not_answering'].includes(error.code)) throw error;
  }
  if (supervisor !== undefined && isAlive(supervisor)) {
    // A supervisor without its socket would restart the processes that we end.
    if (!asked) progress(`stopping the supervisor (${supervisor.pid}), which does not answer at ${paths.socket}`);
    await terminateProcess(supervisor, asked ? SUPERVISOR_GRACE_MS : STOP_GRACE_MS);
  }
  const left = await leftovers(paths);
  // Since the supervisor ended, another `up` may have started the cluster again. The processes are then not left over.
  const startedAgain = lockHolder(paths.claim) !== undefined;
  if (!startedAgain) await endLeftovers(left, progress);
  return asked || supervisor !== undefined || left.length > 0;
}
