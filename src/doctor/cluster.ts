import { request } from 'undici';
import { askStats } from '../bridge/ask.js';
import type { ClusterStatus } from '../cluster/supervisor.js';
import { isStopped } from '../process/identity.js';
import { findingsOf, saying, type Finding } from './finding.js';

const { ok, warning, failed } = findingsOf('cluster');
const ANSWER_TIMEOUT_MS = 3_000;
const MANY_RESTARTS = 3;

/** Checks the supervisor's processes, and whether the APIs are ready. */
export async function* checkCluster({ processes, endpoints }: ClusterStatus): AsyncGenerator<Finding> {
  yield* processes.map(processFinding);
  yield* await checkApis(endpoints);
  const runs = processes.some(({ role, state }) => role === 'bridge' && state === 'running');
  if (runs && endpoints.bridge !== undefined) yield await checkBridge(endpoints.bridge);
}

function processFinding({
  name,
  state,
  restarts,
  last_end: end,
  log,
  pid,
}: ClusterStatus['processes'][number]): Finding {
  if (state !== 'running')
    return failed(name, `it is ${state}${end === undefined ? '' : ` (${end})`}`, `See its log: ${log}`);
  if (pid !== undefined && isStopped(pid)) return frozen(name, pid);
  if (restarts >= MANY_RESTARTS)
    return warning(
      name,
      `it was restarted ${restarts} times (last: ${end ?? 'unknown reason'})`,
      `See its log: ${log}`,
    );
  return ok(name, restarts === 0 ? 'running' : `running, restarted ${restarts} times`);
}

export const frozen = (name: string, pid: number): Finding =>
  failed(name, `it is suspended: process ${pid} received a stop signal`, `Resume it: kill -CONT ${pid}`);

export const checkApis = ({ apis }: Pick<ClusterStatus['endpoints'], 'apis'>): Promise<Finding[]> =>
  Promise.all(
    apis.map(async ({ name, url }) => {
      const fault = await readinessFault(url);
      return fault === undefined
        ? ok(`${name} is ready`, url)
        : failed(`${name} is ready`, fault, `See its log: ksi logs ${name}`);
    }),
  );

/** Asks the socket itself: an old daemon that a client started may have replaced it. */
async function checkBridge(socket: string): Promise<Finding> {
  const title = 'the bridge answers at its socket';
  try {
    await askStats(socket);
    return ok(title, socket);
  } catch (error) {
    return failed(title, saying(error), 'End an old daemon that uses this socket, and see the log: ksi logs bridge');
  }
}

/** @returns undefined if the API is ready */
async function readinessFault(url: string): Promise<string | undefined> {
  try {
    const answer = await request(`${url}/readyz`, {
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const body = await answer.body.text();
    return answer.statusCode === 200 ? undefined : `${answer.statusCode} ${body}`;
  } catch (error) {
    return saying(error);
  }
}
