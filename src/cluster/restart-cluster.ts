import { readConfig } from '../config/load.js';
import { askSupervisor } from './control.js';
import { clusterPaths } from './paths.js';
import type { ClusterStatus } from './supervisor.js';

/**
 * Restarts the processes of the running cluster one after the other. Variables that `env` sets are its new settings.
 * @throws {ConfigError | ClusterError}
 */
export function restart(
  env: Readonly<Record<string, string | undefined>>,
  progress: (text: string) => void,
): Promise<ClusterStatus> {
  return askSupervisor(clusterPaths(readConfig(env).KSI_DIR).socket, { op: 'restart', env }, { progress });
}
