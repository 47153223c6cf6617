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

/** The scripts of this build. */
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
 * Decides ports and makes what must exist before the first process: folders, token, the broker's users.
 * @param options.natsServer the executable; ignored when KSI_NATS_URL names a broker.
 * @throws {ConfigError} for TLS that lacks a part, or a key that can't be read.
 * @throws {ClusterError} `port_taken` when an API couldn't listen, `other_broker` when the folder's broker is of another size.
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
    throw new ClusterError('no_nats_server', 'No nats-server was named. Set KSI_NATS_SERVER.');
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

/** Makes the workers' and agents' keys, and the configuration that names them. */
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
        `Port ${port} on ${config.KSI_HOST} is taken by another program, and api-${n + 1} needs it. ` +
          `Set KSI_PORT to another one (now ${config.KSI_PORT}), for example: KSI_PORT=${config.KSI_PORT + 100} make up`,
      );
  }
}

function findUpwards(from: string, name: string): string {
  const path = join(from, name);
  if (existsSync(path)) return path;
  const parent = dirname(from);
  if (parent === from) throw new ClusterError('internal', `${name} is not found above the built files`);
  return findUpwards(parent, name);
}
