import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config.js';
import { connectBroker, type Broker } from '../broker/connect.js';
import { clusterStatus } from '../cluster/status.js';
import type { ClusterStatus } from '../cluster/supervisor.js';
import { checkBroker } from './broker.js';
import { checkClaude } from './claude.js';
import { checkClocks } from './clocks.js';
import { checkCluster } from './cluster.js';
import { checkDisk } from './disk.js';
import { checkEvents } from './events.js';
import { findingsOf, saying, type Finding, type Group } from './finding.js';
import { checkReadModels } from './read-models.js';
import { checkInstallation } from './installation.js';

export interface ExamineOptions {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly token: string | undefined;
  /** Whether to read all stored events, which takes a while when there are millions. */
  readonly events: boolean;
  readonly progress: (text: string) => void;
  readonly log: Logger;
}

const CONNECT_WITHIN_MS = 5_000;

/** Looks at everything, in the order of GROUPS; what can't be looked at is said. Changes nothing. */
export async function* examine(options: ExamineOptions): AsyncGenerator<Finding> {
  const { config, env } = options;
  yield* safely('installation', checkInstallation(config.KSI_DIR));
  const status = await clusterStatus(config.KSI_DIR);
  const running = status?.config ?? config;
  yield* safely('cluster', checkCluster(status, options.token));
  const monitors = status?.endpoints.nats.servers.map(({ monitor }) => monitor) ?? [];
  const broker = await reach(status, options);
  if ('finding' in broker) yield broker.finding;
  else yield* safely('broker', checkBroker(broker.broker, running, monitors));
  yield* safely('claude', checkClaude(running, env, status?.demo ?? false));
  yield* safely('clocks', checkClocks(monitors));
  yield* safely('disk', checkDisk(await nearest(config.KSI_DIR), running));
  if ('broker' in broker) {
    yield* safely('events', checkReadModels(broker.broker, status?.endpoints.apis ?? []));
    if (options.events) yield* safely('events', checkEvents(broker.broker, options.progress));
    await broker.broker.close();
  }
}

async function reach(
  status: ClusterStatus | undefined,
  { config, log }: ExamineOptions,
): Promise<{ broker: Broker } | { finding: Finding }> {
  const { failed, skipped } = findingsOf('broker');
  const url = status?.endpoints.nats.url ?? config.KSI_NATS_URL;
  if (url === undefined)
    return {
      finding: skipped('connection', 'no broker runs, and KSI_NATS_URL names none', 'Start the cluster: ksi up'),
    };
  try {
    const broker = await connectBroker({
      url,
      name: 'doctor',
      credentialsFile: status?.endpoints.nats.credentials.api ?? config.KSI_NATS_CREDENTIALS,
      caFile: status?.endpoints.nats.ca ?? config.KSI_NATS_TLS_CA,
      inboxPrefix: status?.endpoints.nats.inboxes.api ?? config.KSI_NATS_INBOX,
      log,
      signal: AbortSignal.timeout(CONNECT_WITHIN_MS),
    });
    return { broker };
  } catch (error) {
    return {
      finding: failed(
        'connection',
        `${url} cannot be reached: ${saying(error)}`,
        'Look at the processes: ksi status; and into the log: ksi logs nats-1',
      ),
    };
  }
}

/** A check that fails is a finding; the others go on. */
async function* safely(group: Group, checks: AsyncGenerator<Finding>): AsyncGenerator<Finding> {
  try {
    yield* checks;
  } catch (error) {
    yield findingsOf(group).failed(
      'this check',
      `could not go on: ${saying(error)}`,
      'Mend what is above and look again.',
    );
  }
}

/** A folder that is there already: the state folder is made by the first `ksi up`. */
async function nearest(path: string): Promise<string> {
  for (let at = resolve(path); ; at = dirname(at)) {
    const there = await stat(at).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (there || dirname(at) === at) return at;
  }
}
