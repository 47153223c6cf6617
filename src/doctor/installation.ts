import { readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { clusterPaths } from '../cluster/paths.js';
import { findingsOf, type Finding } from './finding.js';
import { ifExists } from '../if-exists.js';

const { ok, warning, failed } = findingsOf('installation');
const require = createRequire(import.meta.url);
/** Essential packages. Some have optional parts for each platform, which an install may omit. */
const NATIVE = ['lmdb', 'undici', 'fastify', '@nats-io/transport-node', '@anthropic-ai/claude-agent-sdk'];
const OLDEST_NODE = [20, 19] as const;

/** Checks the version of Node, the packages, and the permissions of the state folder. */
export async function* checkInstallation(dir: string): AsyncGenerator<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  yield major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])
    ? ok('Node', process.version)
    : failed('Node', process.version, `Install Node ${OLDEST_NODE.join('.')} or later.`);
  const missing = NATIVE.filter((name) => !canLoad(name));
  yield missing.length === 0
    ? ok('packages', 'all are installed')
    : failed('packages', `cannot load ${missing.join(', ')}`, 'Install again: make packages');
  const paths = clusterPaths(dir);
  const secrets = [paths.dir, paths.token, join(paths.dir, 'endpoints.json'), ...(await brokerSecrets(paths.nats))];
  const open: string[] = [];
  let seen = 0;
  for (const path of secrets) {
    const mode = (await ifExists(stat(path)))?.mode;
    if (mode === undefined) continue;
    seen++;
    if ((mode & 0o077) !== 0) open.push(`${path} (${(mode & 0o777).toString(8)})`);
  }
  if (open.length > 0)
    yield failed(
      'state folder',
      `other users may read ${open.join(', ')}`,
      `Remove their permissions: chmod -R go= ${paths.dir}`,
    );
  else if (seen === 0) yield warning('state folder', `${paths.dir} does not exist`, 'Start a cluster: ksi up');
  else yield ok('state folder', `only its owner may read ${paths.dir}`);
}

/** The seeds of the broker's users, and the secrets that seeds are derived from. */
async function brokerSecrets(folder: string): Promise<string[]> {
  const names = (await ifExists(readdir(folder))) ?? [];
  return names.filter((name) => /\.(nk|secret)$/.test(name)).map((name) => join(folder, name));
}

function canLoad(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch (error) {
    // The package is installed, but only for `import`.
    return (error as NodeJS.ErrnoException).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED';
  }
}
