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
 * Finds bubblewrap, which workers make sandboxes with: KSI_BWRAP, else the one on PATH, else the one that was fetched before, else it is fetched from
 * the machine's own Debian mirror.
 * @returns undefined when there is none. Workers then fall back to a weaker containment, and `ksi doctor` says so.
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
      `There is no bubblewrap, and none could be fetched (${(error as Error).message}). Claude's processes will be able to read KSI's files: install bubblewrap (bwrap).`,
    );
    return undefined;
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false; // Looked for at the next place.
  }
}
