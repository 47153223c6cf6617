import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../../contracts/config/config.js';
import { ConfigError } from '../config/error.js';
import { freePort, isPortFree } from '../process/ports.js';
import { checkBrokerState, hasTls, placeServers } from './broker.js';
import { ClusterError } from './errors.js';
import { renderNatsConf } from './nats-conf.js';
import { clusterPaths, type ClusterPaths } from './paths.js';
import type { Entries, Plan } from './plan.js';
import {
  ensureAgentUsers,
  ensureNatsUsers,
  ensureRouteSecret,
  ensureToken,
  ensureWorkerUsers,
  makeFolders,
  readEncryptionKey,
} from './secrets.js';

const LOOPBACK = '127.0.0.1';

/** The entry points of this build. */
export function builtEntries(): Entries {
  const here = dirname(fileURLToPath(import.meta.url));
  return {
    api: join(here, '..', 'api', 'main.js'),
    worker: join(here, '..', '..', 'workers', 'main.js'),
    bridge: join(here, '..', 'bridge', 'main.js'),
    standin: join(here, '..', 'standin', 'messages', 'main.js'),
    natsConf: findUpwards(here, 'nats.conf'),
  };
}

/**
 * Chooses ports, and creates what the first process needs: folders, the token and the broker's users.
 * @param options.natsServer path of the executable; ignored if KSI_NATS_URL names an external broker
 * @throws {ConfigError} if the TLS options are incomplete or the encryption key cannot be read
 * @throws {ClusterError} `port_taken` if an API could not listen, `other_broker` if the folder has the state of a broker of another size
 */
export async function prepare(options: {
  config: Config;
  env: Plan['env'];
  entries: Entries;
  natsServer?: string | undefined;
  demo: boolean;
}): Promise<Plan> {
  const { config, env, entries, natsServer, demo } = options;
  const paths = clusterPaths(config.KSI_DIR);
  await makeFolders(paths);
  await checkApiPorts(config);
  if (config.KSI_TOKEN_FILE === undefined) await ensureToken(paths);
  const plan = { config, env, entries, paths, ...(demo ? { standinPort: await freePort(LOOPBACK) } : {}) };
  if (config.KSI_NATS_URL !== undefined) return plan;
  if (natsServer === undefined)
    throw new ClusterError('no_nats_server', 'KSI_NATS_SERVER is not set. Set it to the path of a nats-server.');
  checkBrokerState(paths, config);
  checkTls(config);
  await writeNatsConf(paths, config, await readFile(entries.natsConf, 'utf8'));
  return {
    ...plan,
    broker: {
      executable: natsServer,
      servers: await placeServers(config),
      routeSecret: await ensureRouteSecret(paths),
      encryptionKey: await readEncryptionKey(config.KSI_NATS_ENCRYPTION_KEY_FILE),
      keys: await ensureNatsUsers(paths),
    },
  };
}

function checkTls(config: Config): void {
  const given = [config.KSI_NATS_TLS_CERT, config.KSI_NATS_TLS_KEY, config.KSI_NATS_TLS_CA];
  if (given.some((file) => file === undefined) && given.some((file) => file !== undefined))
    throw new ConfigError(['KSI_NATS_TLS_CERT, KSI_NATS_TLS_KEY and KSI_NATS_TLS_CA: give all three, or none']);
}

/** Creates the keys of workers and agents, and the configuration that names them. */
async function writeNatsConf(paths: ClusterPaths, config: Config, conf: string): Promise<void> {
  const rendered = renderNatsConf(conf, {
    workers: await ensureWorkerUsers(paths),
    agents: await ensureAgentUsers(paths, config),
    tls: hasTls(config),
  });
  await writeFile(paths.natsConf, rendered, { mode: 0o600 });
}

async function checkApiPorts(config: Config): Promise<void> {
  for (let n = 0; n < config.KSI_APIS; n++) {
    const port = config.KSI_PORT + n;
    if (port > 65_535 || !(await isPortFree(config.KSI_HOST, port)))
      throw new ClusterError(
        'port_taken',
        `api-${n + 1} needs port ${port} on ${config.KSI_HOST}, but another program uses it. ` +
          `Set KSI_PORT (now ${config.KSI_PORT}) to another port, for example: KSI_PORT=${config.KSI_PORT + 100} make up`,
      );
  }
}

function findUpwards(from: string, name: string): string {
  const path = join(from, name);
  if (existsSync(path)) return path;
  const parent = dirname(from);
  if (parent === from)
    throw new ClusterError('internal', `${name} is missing above the built files. Install KSI again.`);
  return findUpwards(parent, name);
}
