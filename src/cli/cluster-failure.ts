import { ClusterError } from '../cluster/errors.js';
import { ConfigError } from '../config.js';

/** Runs a command on the cluster itself; a failure that we know is told without a stack. */
export async function exitWith(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    if (!(error instanceof ClusterError || error instanceof ConfigError)) throw error;
    process.stderr.write(`${error instanceof ClusterError ? `error (${error.code}): ` : 'error: '}${error.message}\n`);
    process.exitCode = 1;
  }
}
