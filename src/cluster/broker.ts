import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Config } from '../../contracts/config/config.js';
import { storeLimit } from '../../contracts/broker/stream-limits.js';
import { freePort } from '../process/ports.js';
import { common } from './environment.js';
import { ClusterError } from './errors.js';
import type { ClusterPaths } from './paths.js';
import type { Plan, ProcessSpec } from './plan.js';

const LOOPBACK = '127.0.0.1';

/** The ports of one nats-server. */
export interface NatsServer {
  readonly port: number;
  readonly monitorPort: number;
  /** For the other nats-servers. Absent with a single server. */
  readonly routePort?: number;
}

/** Picks ports for `KSI_NATS_SERVERS` nats-servers. Clients' ports count up from `KSI_NATS_PORT`; a taken one is replaced by any free port. */
export async function placeServers(config: Config): Promise<NatsServer[]> {
  const taken = new Set<number>();
  const take = async (preferred?: number): Promise<number> => {
    for (;;) {
      const port = await freePort(LOOPBACK, preferred !== undefined && !taken.has(preferred) ? preferred : 0);
      if (taken.has(port)) continue;
      taken.add(port);
      return port;
    }
  };
  const servers: NatsServer[] = [];
  for (let n = 0; n < config.KSI_NATS_SERVERS; n++) {
    const wanted = config.KSI_NATS_PORT + n;
    const port = await take(wanted > 65_535 ? undefined : wanted);
    const alone = config.KSI_NATS_SERVERS === 1;
    servers.push({ port, monitorPort: await take(), ...(alone ? {} : { routePort: await take() }) });
  }
  return servers;
}

export const serverUrl = ({ port }: NatsServer, tls: boolean): string =>
  `${tls ? 'tls' : 'nats'}://${LOOPBACK}:${port}`;
export const monitorUrl = ({ monitorPort }: NatsServer): string => `http://${LOOPBACK}:${monitorPort}`;
export const serverName = (index: number): string => `nats-${index + 1}`;

/** Whether the broker requires TLS. */
export const hasTls = (config: Config): boolean => config.KSI_NATS_TLS_CERT !== undefined;

/** The broker's URLs for APIs and workers, separated by commas. */
export const natsUrl = (plan: Plan): string =>
  plan.broker === undefined
    ? (plan.config.KSI_NATS_URL ?? '')
    : plan.broker.servers.map((server) => serverUrl(server, hasTls(plan.config))).join(',');

/** The nats-servers' processes. None when KSI_NATS_URL names an external broker. */
export function brokerSpecs(plan: Plan): ProcessSpec[] {
  const { broker, paths } = plan;
  if (broker === undefined) return [];
  const alone = broker.servers.length === 1;
  const routes = broker.servers.flatMap(({ routePort }) =>
    routePort === undefined ? [] : [`nats-route://ksi:${broker.routeSecret}@${LOOPBACK}:${routePort}`],
  );
  const keys = Object.entries(broker.keys).map(([user, key]) => [`KSI_NKEY_${user.toUpperCase()}`, key]);
  return broker.servers.map((server, index) => ({
    name: serverName(index),
    role: 'broker',
    command: broker.executable,
    args: ['-c', paths.natsConf, '-l', paths.log(serverName(index))],
    env: {
      ...common(plan.env),
      KSI_NATS_NAME: JSON.stringify(serverName(index)),
      KSI_NATS_PORT: String(server.port),
      KSI_NATS_MONITOR: JSON.stringify(`${LOOPBACK}:${server.monitorPort}`),
      KSI_NATS_STORE: JSON.stringify(paths.natsStore(alone ? undefined : index + 1)),
      KSI_NATS_SYNC: plan.config.KSI_NATS_SYNC,
      KSI_NATS_MAX_STORE: String(storeLimit(plan.config)),
      KSI_NATS_CLUSTER_PORT: String(server.routePort ?? 0),
      KSI_NATS_ROUTES: JSON.stringify(routes),
      KSI_NATS_ROUTE_SECRET: JSON.stringify(broker.routeSecret),
      KSI_NATS_ENCRYPTION_KEY: JSON.stringify(broker.encryptionKey),
      ...tlsFiles(plan.config),
      ...Object.fromEntries(keys),
    },
    address: `${LOOPBACK}:${server.port}`,
    graceMs: 20_000,
  }));
}

/** Absolute paths: nats-server does not run in this process's working folder. */
const tlsFiles = (config: Config): Record<string, string> =>
  Object.fromEntries(
    (['KSI_NATS_TLS_CERT', 'KSI_NATS_TLS_KEY', 'KSI_NATS_TLS_CA'] as const).flatMap((name) => {
      const file = config[name];
      return file === undefined ? [] : [[name, JSON.stringify(resolve(file))]];
    }),
  );

/**
 * Refuses to start one nats-server on the state of three, and the reverse. nats-server cannot convert streams between the two: it would start
 * empty, or delete them as unknown.
 * @throws {ClusterError} `other_broker`
 */
export function checkBrokerState(paths: ClusterPaths, config: Config): void {
  const wanted = config.KSI_NATS_SERVERS;
  const other = wanted === 1 ? 3 : 1;
  const stores = other === 1 ? [paths.natsStore()] : [1, 2, 3].map((n) => paths.natsStore(n));
  const found = stores.filter((store) => existsSync(join(store, 'jetstream')));
  if (found.length === 0) return;
  throw new ClusterError(
    'other_broker',
    `KSI_NATS_SERVERS=${wanted}, but ${paths.dir} has the tasks and events of a broker with KSI_NATS_SERVERS=${other}. ` +
      'nats-server cannot move streams between a single server and a cluster. ' +
      `Start with KSI_NATS_SERVERS=${other} (\`make up NATS=${other}\`) or with another KSI_DIR. ` +
      `If you no longer need those tasks and events, delete ${found.join(', ')}.`,
  );
}
