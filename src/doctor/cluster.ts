import { request } from 'undici';
import type { ClusterStatus } from '../cluster/supervisor.js';
import { findingsOf, saying, type Finding } from './finding.js';

const { ok, warning, failed, skipped } = findingsOf('cluster');
const ANSWER_WITHIN_MS = 3_000;
const MANY_RESTARTS = 3;

/** The supervisor's processes, and what the APIs and workers say of themselves. @param status undefined: nothing runs. */
export async function* checkCluster(
  status: ClusterStatus | undefined,
  token: string | undefined,
): AsyncGenerator<Finding> {
  if (status === undefined) {
    yield skipped('processes', 'the cluster does not run', 'Start it: ksi up');
    return;
  }
  for (const { name, state, restarts, last_end: end, log } of status.processes) {
    if (state !== 'running')
      yield failed(name, `it is ${state}${end === undefined ? '' : ` (${end})`}`, `Look why: ${log}`);
    else if (restarts >= MANY_RESTARTS)
      yield warning(
        name,
        `it has been started again ${restarts} times (${end ?? 'no reason known'})`,
        `Look why: ${log}`,
      );
    else yield ok(name, restarts === 0 ? 'running' : `running, started again ${restarts} times`);
  }
  for (const { name, url } of status.endpoints.apis) {
    const { status: code, body } = await get(`${url}/readyz`);
    yield code === 200
      ? ok(`${name} is ready`, url)
      : failed(
          `${name} is ready`,
          code === undefined ? body : `${code} ${body}`,
          `Look into its log: ksi logs ${name}`,
        );
  }
  const shown = await get(`${status.endpoints.url}/workers`, token);
  const { workers } = (shown.status === 200 ? JSON.parse(shown.body) : { workers: [] }) as {
    workers: { worker_id: string; state: string; containment: string; running: number; concurrency: number }[];
  };
  const there = workers.filter(({ state }) => state !== 'lost');
  yield there.length === 0
    ? failed('workers', 'none says that it is there', 'Tasks wait until one comes: ksi status; make up WORKERS=2')
    : ok(
        'workers',
        there.map(({ worker_id: id, running, concurrency }) => `${id} runs ${running} of ${concurrency}`).join('; '),
      );
  const kinds = new Set(there.map(({ containment }) => containment));
  if (kinds.has('process_group'))
    yield warning(
      'containment',
      'a guard process ends what a killed worker leaves; what calls setsid and changes its environment may escape it',
      'Allow unprivileged user namespaces, or run workers where PID namespaces may be made.',
    );
  else if (kinds.size > 0) yield ok('containment', [...kinds].join(', '));
}

/** @returns without a status what went wrong. */
async function get(url: string, token?: string): Promise<{ status?: number; body: string }> {
  try {
    const answer = await request(url, {
      headersTimeout: ANSWER_WITHIN_MS,
      bodyTimeout: ANSWER_WITHIN_MS,
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    });
    return { status: answer.statusCode, body: await answer.body.text() };
  } catch (error) {
    return { body: saying(error) };
  }
}
