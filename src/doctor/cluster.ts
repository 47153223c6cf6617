import { request } from 'undici';
import type { ClusterStatus } from '../cluster/supervisor.js';
import { isStopped } from '../process/identity.js';
import { findingsOf, saying, type Finding } from './finding.js';

const { ok, warning, failed } = findingsOf('cluster');
const ANSWER_WITHIN_MS = 3_000;
const MANY_RESTARTS = 3;

/** The supervisor's processes, and whether the APIs are ready. */
export async function* checkCluster({ processes, endpoints }: ClusterStatus): AsyncGenerator<Finding> {
  yield* processes.map(processFinding);
  yield* await checkApis(endpoints);
}

/** Those that run on this machine, by what the supervisor and the system say. */
function processFinding({
  name,
  state,
  restarts,
  last_end: end,
  log,
  pid,
}: ClusterStatus['processes'][number]): Finding {
  if (state !== 'running')
    return failed(name, `it is ${state}${end === undefined ? '' : ` (${end})`}`, `Look why: ${log}`);
  if (pid !== undefined && isStopped(pid)) return frozen(name, pid);
  if (restarts >= MANY_RESTARTS)
    return warning(
      name,
      `it has been started again ${restarts} times (${end ?? 'no reason known'})`,
      `Look why: ${log}`,
    );
  return ok(name, restarts === 0 ? 'running' : `running, started again ${restarts} times`);
}

export const frozen = (name: string, pid: number): Finding =>
  failed(name, `it is frozen: a signal stopped process ${pid}`, `Let it go on: kill -CONT ${pid}`);

/** Asks all at once. */
export const checkApis = ({ apis }: Pick<ClusterStatus['endpoints'], 'apis'>): Promise<Finding[]> =>
  Promise.all(
    apis.map(async ({ name, url }) => {
      const said = await readiness(url);
      return said === undefined
        ? ok(`${name} is ready`, url)
        : failed(`${name} is ready`, said, `Look into its log: ksi logs ${name}`);
    }),
  );

/** @returns undefined: it is ready. */
async function readiness(url: string): Promise<string | undefined> {
  try {
    const answer = await request(`${url}/readyz`, {
      headersTimeout: ANSWER_WITHIN_MS,
      bodyTimeout: ANSWER_WITHIN_MS,
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const body = await answer.body.text();
    return answer.statusCode === 200 ? undefined : `${answer.statusCode} ${body}`;
  } catch (error) {
    return saying(error);
  }
}
