import { askSupervisor } from './control.js';
import { ClusterError } from './errors.js';
import { clusterPaths } from './paths.js';
import type { ClusterStatus } from './supervisor.js';

/** @returns undefined if the folder's cluster does not run */
export async function clusterStatus(dir: string, signal?: AbortSignal): Promise<ClusterStatus | undefined> {
  try {
    return await askSupervisor(clusterPaths(dir).socket, { op: 'status' }, { signal });
  } catch (error) {
    if (error instanceof ClusterError && error.code === 'not_running') return undefined;
    throw error;
  }
}
