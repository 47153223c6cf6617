import { resolve } from 'node:path';
import { defined } from '../defined.js';
import { hasTls, monitorUrl, natsUrl, serverName, serverUrl } from './broker.js';
import { apiUrls, type Endpoints } from './endpoints.js';
import type { RecordedProcess } from './leftovers.js';
import { apiPort, bridgeSpec, type Plan } from './plan.js';
import { agentsOf, inboxPrefix, NATS_USERS } from './secrets.js';

/** The endpoints of a planned cluster. @param folder the id of its folder */
export function endpointsOf(plan: Plan, folder: string, running: readonly RecordedProcess[]): Endpoints {
  const { paths, config, broker, standinPort } = plan;
  const urlsOf = (port: number): ReturnType<typeof apiUrls> =>
    apiUrls(config.KSI_HOST, port, config.KSI_TLS_CERT !== undefined);
  const agents = agentsOf(config).map((id) => `agent-${id}` as const);
  const users = broker === undefined ? [] : [...NATS_USERS, ...agents];
  return {
    dir: paths.dir,
    folder,
    ...urlsOf(config.KSI_PORT),
    apis: Array.from({ length: config.KSI_APIS }, (_, index) => ({
      name: `api-${index + 1}`,
      ...urlsOf(apiPort(plan, index + 1)),
    })),
    token_file: config.KSI_TOKEN_FILE ?? paths.token,
    nats: {
      url: natsUrl(plan),
      servers: (broker?.servers ?? []).map((server, index) => ({
        name: serverName(index),
        url: serverUrl(server, hasTls(config)),
        monitor: monitorUrl(server),
      })),
      ...(config.KSI_NATS_TLS_CA === undefined ? {} : { ca: resolve(config.KSI_NATS_TLS_CA) }),
      credentials: Object.fromEntries(users.map((user) => [user, paths.seed(user)])),
      inboxes: Object.fromEntries(users.map((user) => [user, inboxPrefix(user)])),
    },
    ...defined({
      bridge: bridgeSpec(plan)?.address,
      standin: standinPort === undefined ? undefined : `http://127.0.0.1:${standinPort}`,
    }),
    logs: paths.logs,
    pids: Object.fromEntries([['supervisor', process.pid], ...running.map(({ name, pid }) => [name, pid])]),
  };
}
