import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import type { SharedClock } from '../broker/broker-clock.js';
import { connectBroker, type Broker } from '../broker/connect.js';
import { timerMs } from '../clock.js';
import { readJson, type Endpoints } from '../cluster/endpoints.js';
import { clusterPaths } from '../cluster/paths.js';
import { clusterStatus } from '../cluster/status.js';
import type { ClusterStatus } from '../cluster/supervisor.js';
import { folderId } from '../process/folder-id.js';
import { isStopped } from '../process/identity.js';
import { checkBroker } from './broker.js';
import { checkClaude } from './claude.js';
import { checkClocks } from './clocks.js';
import { checkApis, checkCluster, frozen } from './cluster.js';
import { checkDisk } from './disk.js';
import { checkEvents } from './events.js';
import { findingsOf, saying, type Finding, type Group } from './finding.js';
import { checkReadModels } from './read-models.js';
import { checkInstallation } from './installation.js';
import { findings, type Checks } from './sections.js';
import { watch, type Watched } from './monitor.js';
import { checkServers } from './servers.js';
import { checkWorkers } from './workers.js';

export interface ExamineOptions {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether to check the stored events: as many as there is time for, or all. */
  readonly events: boolean | 'all';
  /** In ms, for all checks together. A check that does not finish in time is a finding itself. */
  readonly withinMs: number;
  readonly progress: (text: string) => void;
  readonly log: Logger;
}

const SUPERVISOR_TIMEOUT_MS = 1_500;
const CONNECT_TIMEOUT_MS = 4_000;
const CLOCK_TIMEOUT_MS = 2_000;
/** Short, so that there is time for another server if one is suspended. */
const DIAL_TIMEOUT_MS = 1_500;
/** Reading events ends this much early, to report what was read. */
const REPORT_MS = 1_000;

/** Runs all checks concurrently and yields their findings in the order of GROUPS. Changes nothing. */
export async function* examine(options: ExamineOptions): AsyncGenerator<Finding> {
  const { config, env } = options;
  const time = AbortSignal.timeout(timerMs(options.withinMs));
  const cluster = await findCluster(config.KSI_DIR);
  const running = cluster.status?.config ?? config;
  const servers = cluster.endpoints?.nats.servers ?? [];
  const watched = watch(servers);
  const reached = reach(cluster.endpoints, watched, options);
  const withBroker = async function* (group: Group, checks: (broker: Broker) => Checks): AsyncGenerator<Finding> {
    const { broker } = await reached;
    if (broker !== undefined) yield* checks(broker);
    else yield findingsOf(group).skipped('this check', 'it needs the broker', 'See broker above.');
  };
  const brokerChecks = async function* (): AsyncGenerator<Finding> {
    yield* checkServers(await watched, cluster.endpoints?.pids ?? {});
    const { broker, finding } = await reached;
    if (broker === undefined) yield finding;
    else yield* checkBroker(broker, running, servers);
  };
  const clock = reached.then(({ broker }) => knownClock(broker));
  const workers = withBroker('workers', (broker) => checkWorkers(broker, clock));
  const readModels = withBroker('events', (broker) => checkReadModels(broker, cluster.endpoints?.apis ?? []));
  const sections = [
    findings('installation', checkInstallation(config.KSI_DIR), time),
    findings('cluster', cluster.checks, time),
    findings('broker', brokerChecks(), time),
    findings('workers', workers, time),
    findings('claude', checkClaude(running, env, cluster.status?.demo ?? false), time),
    findings('clocks', checkClocks(clock, watched), time),
    findings('disk', checkDisk(await existingFolder(config.KSI_DIR), running), time),
    findings('events', readModels, time),
  ];
  if (options.events !== false) {
    const all = options.events === 'all';
    const readUntil = all ? undefined : AbortSignal.timeout(timerMs(Math.max(0, options.withinMs - REPORT_MS)));
    const events = withBroker('events', (broker) => checkEvents(broker, options.progress, readUntil));
    sections.push(findings('events', events, all ? new AbortController().signal : time));
  }
  for (const section of sections) yield* await section;
  void reached.then(({ broker }) => broker?.close());
}

interface Cluster {
  readonly status?: ClusterStatus;
  readonly endpoints?: Endpoints;
  readonly checks: Checks;
}

/** Asks the supervisor. If it does not answer, reads the addresses from endpoints.json. */
async function findCluster(dir: string): Promise<Cluster> {
  const { failed, skipped } = findingsOf('cluster');
  try {
    const status = await clusterStatus(dir, AbortSignal.timeout(SUPERVISOR_TIMEOUT_MS));
    if (status !== undefined) return { status, endpoints: status.endpoints, checks: checkCluster(status) };
    return { checks: [skipped('processes', 'the cluster does not run', 'Start it: ksi up')] };
  } catch (error) {
    const endpoints = (await readJson(clusterPaths(dir).endpoints)) as Endpoints | undefined;
    const silent = failed('supervisor', `it does not answer: ${saying(error)}`, 'See its log: ksi logs supervisor');
    if (endpoints?.folder !== folderId(dir)) return { checks: [silent] };
    return { endpoints, checks: silentCluster(silent, endpoints) };
  }
}

async function* silentCluster(silent: Finding, endpoints: Endpoints): AsyncGenerator<Finding> {
  const pid = endpoints.pids['supervisor'];
  yield pid !== undefined && isStopped(pid) ? frozen('supervisor', pid) : silent;
  yield* await checkApis(endpoints);
}

type Reached =
  { readonly broker: Broker; readonly finding?: never } | { readonly broker?: never; readonly finding: Finding };

async function reach(
  endpoints: Endpoints | undefined,
  watched: Promise<readonly Watched[]>,
  { config, log }: ExamineOptions,
): Promise<Reached> {
  const { failed, skipped } = findingsOf('broker');
  // A suspended server accepts connections but does not answer.
  const answering = (await watched).filter(({ varz }) => varz !== undefined).map((server) => server.url);
  const url = answering.length > 0 ? answering.join(',') : (endpoints?.nats.url ?? config.KSI_NATS_URL);
  if (url === undefined)
    return {
      finding: skipped('connection', 'no broker runs, and KSI_NATS_URL is not set', 'Start the cluster: ksi up'),
    };
  const signal = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
  try {
    const broker = await connectBroker({
      url,
      name: 'doctor',
      credentialsFile: endpoints?.nats.credentials.api ?? config.KSI_NATS_CREDENTIALS,
      caFile: endpoints?.nats.ca ?? config.KSI_NATS_TLS_CA,
      inboxPrefix: endpoints?.nats.inboxes.api ?? config.KSI_NATS_INBOX,
      dialWithinMs: DIAL_TIMEOUT_MS,
      log,
      signal,
    });
    return { broker };
  } catch (error) {
    return {
      finding: failed(
        'connection',
        `could not connect to ${url}: ${saying(error)}`,
        'Check the processes (ksi status) and the log (ksi logs nats-1).',
      ),
    };
  }
}

/** @returns undefined if the broker does not report its time */
async function knownClock(broker: Broker | undefined): Promise<SharedClock | undefined> {
  try {
    await broker?.clock.known(AbortSignal.timeout(CLOCK_TIMEOUT_MS));
    return broker?.clock;
  } catch {
    return undefined;
  }
}

/** The folder, or its nearest existing parent: before the first `ksi up` there is no KSI_DIR. */
async function existingFolder(path: string): Promise<string> {
  for (let at = resolve(path); ; at = dirname(at)) {
    const exists = await stat(at).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (exists || dirname(at) === at) return at;
  }
}
