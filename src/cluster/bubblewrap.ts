import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fetchFromDebian, type DebianPackage } from './nats-server/debian.js';
import { cachePath, install, type ResolveOptions } from './nats-server/resolve.js';

const BUBBLEWRAP: DebianPackage = {
  name: 'bubblewrap',
  executable: 'bwrap',
  suites: (codename) => [codename],
  isNewEnough: () => true,
};

/**
 * Finds bubblewrap for the workers' sandboxes. Tries KSI_BWRAP, PATH and the cache, in this order, and then downloads it from the machine's
 * Debian mirror.
 * @returns undefined when all of them fail. Workers then use a weaker containment, and `ksi doctor` reports it.
 */
export async function resolveBubblewrap(options: ResolveOptions): Promise<string | undefined> {
  const { env, signal, progress = () => undefined } = options;
  const named = env['KSI_BWRAP'];
  if (named !== undefined && named !== '') return named;
  if (process.platform !== 'linux') return undefined;
  const cached = cachePath(env, 'bwrap');
  const onPath = (env['PATH'] ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, 'bwrap'));
  for (const path of [...onPath, cached]) if (await isExecutable(path)) return path;
  try {
    await fetchFromDebian(BUBBLEWRAP, (executable) => install(executable, cached), progress, signal);
    return cached;
  } catch (error) {
    signal?.throwIfAborted();
    progress(
      `bubblewrap (bwrap) is not installed and could not be downloaded (${(error as Error).message}). Without it, Claude's processes can read KSI's files. Install bubblewrap.`,
    );
    return undefined;
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
