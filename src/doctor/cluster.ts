import { request } from 'undici';
import { CONTAINMENTS, type WorkerShown } from '../../contracts/workers.js';
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
    workers: WorkerShown[];
  };
  const there = workers.filter(({ state }) => state !== 'lost');
  yield there.length === 0
    ? failed('workers', 'none says that it is there', 'Tasks wait until one comes: ksi status; make up WORKERS=2')
    : ok(
        'workers',
        there.map(({ worker_id: id, running, concurrency }) => `${id} runs ${running} of ${concurrency}`).join('; '),
      );
  for (const { worker_id: id, limited_until: until } of there)
    if (until !== undefined) yield warning('usage limit', `Claude's usage limit stops ${id} until ${until}`, LIMITED);
  const weakest = CONTAINMENTS.findLast((kind) => there.some(({ containment }) => containment === kind));
  if (weakest !== undefined) yield EXPOSED[weakest];
}

const LIMITED = 'Wait for the reset. KSI_USAGE_LIMIT=task limits a single task only.';

const SANDBOX =
  'Install bubblewrap (Debian: apt install bubblewrap), allow user namespaces, and run `make down`, then `make up`.';

/** By the weakest containment of the workers. */
const EXPOSED: Readonly<Record<(typeof CONTAINMENTS)[number], Finding>> = {
  sandbox: ok('containment', "sandbox: Claude's processes end with their run and do not see KSI's files"),
  pid_namespace: warning(
    'containment',
    "no sandbox: a run that may use Bash can read what the worker's user can read: keys and logs in KSI_DIR, other sessions' workspaces",
    SANDBOX,
  ),
  process_group: warning(
    'containment',
    "no sandbox and no PID namespace: a run that may use Bash can read what the worker's user can read, and see and signal that user's processes; a process that calls setsid and changes its environment may outlive a killed worker",
    SANDBOX,
  ),
};

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
