import { CONTAINMENTS, type WorkerView } from '../../contracts/tasks/workers.js';
import type { SharedClock } from '../broker/broker-clock.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import { fromLeader, presentWorkers } from '../broker/workers.js';
import { findingsOf, type Finding } from './finding.js';

const { ok, warning, failed, skipped } = findingsOf('workers');
const TRIES = 3;
const WRONG_CLOCK_MS = 1_000;

/** Checks the workers' presence entries. It reads them from the broker, because an API may be slow or down. */
export async function* checkWorkers(broker: Broker, clock: Promise<SharedClock | undefined>): AsyncGenerator<Finding> {
  // At time 0 no worker counts as lost.
  const now = (await clock)?.now() ?? 0;
  const workers = await read(broker, now);
  if (workers === undefined)
    yield skipped('workers', 'could not read the presence entries', 'Fix the broker and run this again.');
  else yield* workerFindings(workers);
}

/** Retries, because a suspended leader does not answer before there is a new one. */
async function read(broker: Broker, now: number): Promise<WorkerView[] | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await presentWorkers(broker, now, fromLeader);
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (tries === TRIES) return undefined;
    }
  }
}

export function* workerFindings(workers: readonly WorkerView[]): Generator<Finding> {
  const there = workers.filter(({ state }) => state !== 'lost');
  yield there.length === 0
    ? failed(
        'workers',
        'none is running, so tasks wait',
        'Check the processes (ksi status), or start workers: make up WORKERS=2',
      )
    : ok(
        'workers',
        there.map(({ worker_id: id, running, concurrency }) => `${id} runs ${running} of ${concurrency}`).join('; '),
      );
  for (const { worker_id: id, state, seen_at: at, host, pid } of workers)
    if (state === 'lost')
      yield warning(
        id,
        `lost: its last heartbeat was at ${at} (process ${pid} on ${host})`,
        'Other workers take over its tasks. Check the host.',
      );
  for (const { worker_id: id, limited_until: until } of there)
    if (until !== undefined) yield warning('usage limit', `Claude's usage limit stops ${id} until ${until}`, LIMITED);
  for (const { worker_id: id, host, concurrency, out_of_service: out = 0, undeleted: left = [] } of there)
    if (left.length > 0)
      yield (out === concurrency ? failed : warning)(
        'removal',
        `${id} cannot remove files that runs left${out === 0 ? '' : `, so ${out} of its ${concurrency} slots are out of service`}: ${left.map(({ path, reason }) => `${path} (${reason})`).join(', ')}`,
        `On ${host}, make them removable (EPERM: lsattr, chattr -i; EACCES: chown) or remove them. The worker tries again within a minute.`,
      );
  for (const { worker_id: id, host, shortage: short } of there)
    if (short !== undefined)
      yield warning('shortage', `${host} is short of ${short}, so ${id} takes tasks more slowly`, SHORT);
  for (const { worker_id: id, host, clock_ahead_ms: ahead = 0 } of there)
    if (Math.abs(ahead) >= WRONG_CLOCK_MS)
      yield warning('clock', `the clock of ${id} on ${host} is ${difference(ahead)} the broker's`, KEEP_TIME);
  const weakest = CONTAINMENTS.findLast((kind) => there.some(({ containment }) => containment === kind));
  if (weakest !== undefined) yield EXPOSED[weakest];
}

/** Text such as `1.5 s ahead of`. */
export const difference = (aheadMs: number): string =>
  `${(Math.abs(aheadMs) / 1_000).toLocaleString('en-US')} s ${aheadMs < 0 ? 'behind' : 'ahead of'}`;

export const KEEP_TIME =
  "KSI uses the broker's time, but logs and tools use this clock. Synchronize it with NTP (chrony, systemd-timesyncd).";

const SHORT = 'Raise the limit of the user that runs the workers, or lower KSI_CONCURRENCY.';

const LIMITED =
  'Wait for the reset. If the time is wrong: ksi workers lift-limit. KSI_USAGE_LIMIT=task limits a single task only.';

const SANDBOX =
  'Install bubblewrap (Debian: apt install bubblewrap), allow user namespaces, and run `make down`, then `make up`.';

/** The finding for the workers' weakest containment. */
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
