import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { STREAM } from '../../contracts/wire/names.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import type { Broker } from '../../src/broker/connect.js';
import { streamPosition } from '../../src/broker/read.js';
import { readJson, type Endpoints } from '../../src/cluster/endpoints.js';
import { signal as sendSignal } from '../../src/process/terminate.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';
import { seededRandom } from '../fixtures/random.js';
import { damageIn } from './broker-logs.js';
import { planFaults } from './fault-plan.js';
import { Faults } from './faults.js';
import { Load } from './load.js';
import type { ChaosOptions } from './options.js';
import { freePortsInRow } from './ports.js';
import { Readers } from './readers/readers.js';
import type { Recorder } from './recorder.js';
import { connectAsOperator, queuedSubjects, readEvents, untilQueueEmpty } from './stored.js';

export interface RunOptions extends ChaosOptions {
  readonly recorder: Recorder;
  /** One line about what goes on. */
  readonly say: (text: string) => void;
  /** Ends the run early; what has happened by then is checked. */
  readonly signal: AbortSignal;
}

/** How long no task may end, while some are queued, once nothing is broken any more. */
const QUIET_MS = 60_000;
const READERS_MS = 20_000;
const PROGRESS_MS = 5_000;
const MARKER = 'KSI_CHAOS_RUN';

/** A cluster under load and faults, to its end. What happened is in the recorder. @returns it, stopped but not yet removed. */
export async function runChaos(options: RunOptions): Promise<TestCluster> {
  const { recorder, say } = options;
  const id = randomUUID();
  const cluster = await startCluster(clusterEnv(options, id, await freePortsInRow(options.apis + options.servers)));
  try {
    const endpoints = cluster.endpoints as unknown as Endpoints;
    const operator = await connectAsOperator(endpoints, options.signal);
    try {
      await underFaults(options, cluster, endpoints, operator, `${MARKER}=${id}`);
      recorder.commandsLeft.push(...(await queuedSubjects(operator)));
      recorder.events.push(...(await readEvents(operator)));
    } finally {
      await operator.close();
    }
  } catch (error) {
    say(`The run failed; its cluster's folder is left: ${cluster.dir}`);
    throw error;
  } finally {
    const down = await cluster.ksi(['down']);
    if (down.code !== 0) say(`ksi down ended with ${down.code}: ${down.stderr}`);
  }
  recorder.damage.push(...(await damageIn(join(cluster.dir, 'logs'))));
  const pids = processesTagged(`${MARKER}=${id}`);
  if (pids.length > 0) recorder.leftovers.push({ what: 'processes after `ksi down`', pids });
  for (const pid of pids) sendSignal(pid, 'SIGKILL');
  return cluster;
}

const clusterEnv = (
  { workers, apis, servers, leaseS, containment }: ChaosOptions,
  id: string,
  firstPort: number,
): Record<string, string> => ({
  KSI_NATS_PORT: String(firstPort),
  KSI_NATS_SERVERS: String(servers),
  KSI_PORT: String(firstPort + servers),
  KSI_WORKERS: String(workers),
  KSI_APIS: String(apis),
  KSI_CONCURRENCY: '4',
  KSI_LEASE_S: String(leaseS),
  KSI_CONTAINMENT: containment,
  KSI_DRAIN_S: '5',
  // A process that is killed every few seconds is back at once all the same.
  KSI_RESTART_MAX_S: '1',
  KSI_SPAWN_RATE: '0',
  KSI_CLAUDE_BIN: CLAUDE_STANDIN,
  KSI_CLAUDE_ENV: MARKER,
  [MARKER]: id,
});

async function underFaults(
  options: RunOptions,
  cluster: TestCluster,
  endpoints: Endpoints,
  operator: Broker,
  marker: string,
): Promise<void> {
  const { recorder, say, seed, seconds, rate, leaseS, signal } = options;
  const apis = endpoints.apis.map(({ url }) => ({ url, token: cluster.token }));
  const begun = performance.now();
  let ended = 0;
  const readers = new Readers({
    apis,
    seed: seed + 1,
    onEvent: ({ type }) => {
      const status = statusOfEvent(type);
      if (status !== undefined && isEnded(status)) ended++;
    },
  });
  const load = new Load({
    apis,
    rate,
    seed: seed + 2,
    onPost: (post) => {
      recorder.posts.push(post);
      if (post.taskId !== undefined) readers.accepted(post.taskId);
    },
    onCancel: (cancel) => recorder.cancels.push(cancel),
  });
  const faults = new Faults({
    plan: planFaults(seededRandom(seed), seconds),
    endpoints: async () => (await readJson(join(cluster.dir, 'endpoints.json'))) as Endpoints,
    marker,
    stopMs: leaseS * 2_000,
    onFault: (fault) => recorder.faults.push(fault),
    onLeftover: (leftover) => recorder.leftovers.push(leftover),
  });
  const elapsed = (): number => Math.round((performance.now() - begun) / 1_000);
  const progress = setInterval(() => {
    const accepted = new Set(recorder.posts.flatMap(({ taskId }) => taskId ?? [])).size;
    say(`${elapsed()} s: ${recorder.faults.length} faults, ${accepted} tasks accepted, ${ended} ended`);
  }, PROGRESS_MS);
  try {
    readers.start();
    load.start();
    const abort = (): void => void faults.stop();
    signal.addEventListener('abort', abort, { once: true });
    await faults.run();
    await load.stop();
    say(`${elapsed()} s: no more faults and requests; waiting for what is open`);
    await settle(operator, readers, say);
  } finally {
    clearInterval(progress);
    await faults.stop();
    await load.stop();
    await readers.stop();
    recorder.readers.push(...readers.records());
  }
}

/** Until all tasks have ended and all readers have read that, or the time for it is up. */
async function settle(operator: Broker, readers: Readers, say: (text: string) => void): Promise<void> {
  if (!(await untilQueueEmpty(operator, QUIET_MS)))
    say(`something is still queued, and nothing has left the queue for ${QUIET_MS / 1_000} s`);
  const timeUp = AbortSignal.timeout(READERS_MS);
  const late = new Promise<'late'>((resolve) => timeUp.addEventListener('abort', () => resolve('late')));
  for (;;) {
    const { lastSeq } = await streamPosition(operator, STREAM.events);
    if ((await Promise.race([readers.until(lastSeq), late])) === 'late')
      return say(`a reader has not come to event ${lastSeq} after ${READERS_MS / 1_000} s`);
    // What was sent without waiting for it may have come since.
    if ((await streamPosition(operator, STREAM.events)).lastSeq === lastSeq) return;
  }
}
