import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Config } from '../../contracts/config/config.js';
import { storeLimit } from '../../contracts/broker/stream-limits.js';
import { freePort } from '../process/ports.js';
import { common } from './environment.js';
import { ClusterError } from './errors.js';
import type { ClusterPaths } from './paths.js';
import type { Plan, ProcessSpec } from './plan.js';

/** The broker that a cluster runs itself: nats-servers on loopback, all with the one nats.conf. */

const LOOPBACK = '127.0.0.1';

/** Where one nats-server listens. */
export interface NatsServer {
  readonly port: number;
  readonly monitorPort: number;
  /** For the other nats-servers; undefined when it is alone. */
  readonly routePort?: number;
}

/** Picks ports for `KSI_NATS_SERVERS` nats-servers: clients' from `KSI_NATS_PORT` on where they are free. */
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

/** Whether the broker that we run speaks TLS alone. */
export const hasTls = (config: Config): boolean => config.KSI_NATS_TLS_CERT !== undefined;

/** The addresses at which APIs and workers reach the broker, by comma. */
export const natsUrl = (plan: Plan): string =>
  plan.broker === undefined
    ? (plan.config.KSI_NATS_URL ?? '')
    : plan.broker.servers.map((server) => serverUrl(server, hasTls(plan.config))).join(',');

/** The nats-servers' processes; none when KSI_NATS_URL names a broker. */
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

/** As nats-server is told: it knows no working folder but its own. */
const tlsFiles = (config: Config): Record<string, string> =>
  Object.fromEntries(
    (['KSI_NATS_TLS_CERT', 'KSI_NATS_TLS_KEY', 'KSI_NATS_TLS_CA'] as const).flatMap((name) => {
      const file = config[name];
      return file === undefined ? [] : [[name, JSON.stringify(resolve(file))]];
    }),
  );

/** nats-server's own folder in a store. */
const hasState = (store: string): boolean => existsSync(join(store, 'jetstream'));

/**
 * Refuses to start a broker of another size than the one whose state the folder holds: nats-server doesn't carry the streams of a single
 * node into a cluster, nor those of a cluster into a single node; it would begin empty, or remove them as strangers.
 * @throws {ClusterError} `other_broker`
 */
export function checkBrokerState(paths: ClusterPaths, config: Config): void {
  const single = paths.natsStore();
  const [first, second, third] = [1, 2, 3].map((n) => paths.natsStore(n));
  const stores = { 1: [single], 3: [first, second, third] };
  const wanted = config.KSI_NATS_SERVERS;
  const other = wanted === 1 ? 3 : 1;
  const found = stores[other].filter((store): store is string => store !== undefined && hasState(store));
  if (found.length === 0) return;
  throw new ClusterError(
    'other_broker',
    `KSI_NATS_SERVERS=${wanted}, but ${paths.dir} holds the tasks and events of a broker of ${other}, which can't be taken over: ` +
      `nats-server moves no streams between a single node and a cluster. Start with KSI_NATS_SERVERS=${other} (\`make up NATS=${other}\`), ` +
      `or with another KSI_DIR; or, if those tasks and events may go, delete ${found.join(', ')}.`,
  );
}
