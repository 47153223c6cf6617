import { CONTAINMENTS, type WorkerShown } from '../../contracts/tasks/workers.js';
import type { SharedClock } from '../broker/broker-clock.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import { fromLeader, presentWorkers } from '../broker/workers.js';
import { findingsOf, type Finding } from './finding.js';

const { ok, warning, failed, skipped } = findingsOf('workers');
const TRIES = 3;
const WRONG_CLOCK_MS = 1_000;

/** What workers say of themselves, read from the broker: an API that is slow or away hides none. */
export async function* checkWorkers(broker: Broker, timed: Promise<SharedClock | undefined>): AsyncGenerator<Finding> {
  // Without the broker's time nobody can be told to be silent.
  const now = (await timed)?.now() ?? 0;
  const workers = await read(broker, now);
  if (workers === undefined)
    yield skipped('workers', 'the broker does not tell who is there', 'Fix the broker and run this again.');
  else yield* workerFindings(workers);
}

/** A frozen leader leaves a question unanswered until there is another. */
async function read(broker: Broker, now: number): Promise<WorkerShown[] | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await presentWorkers(broker, now, fromLeader);
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (tries === TRIES) return undefined;
    }
  }
}

/** Pure. */
export function* workerFindings(workers: readonly WorkerShown[]): Generator<Finding> {
  const there = workers.filter(({ state }) => state !== 'lost');
  yield there.length === 0
    ? failed('workers', 'none says that it is there', 'Tasks wait until one comes: ksi status; make up WORKERS=2')
    : ok(
        'workers',
        there.map(({ worker_id: id, running, concurrency }) => `${id} runs ${running} of ${concurrency}`).join('; '),
      );
  for (const { worker_id: id, state, seen_at: at, host, pid } of workers)
    if (state === 'lost')
      yield warning(id, `it has said nothing since ${at} (process ${pid} on ${host})`, 'Its tasks run elsewhere.');
  for (const { worker_id: id, limited_until: until } of there)
    if (until !== undefined) yield warning('usage limit', `Claude's usage limit stops ${id} until ${until}`, LIMITED);
  for (const { worker_id: id, host, concurrency, out_of_service: out = 0, left = [] } of there)
    if (left.length > 0)
      yield (out === concurrency ? failed : warning)(
        'removal',
        `${id} cannot remove what runs left${out === 0 ? '' : `, so ${out} of its ${concurrency} slots take no runs`}: ${left.map(({ path, reason }) => `${path} (${reason})`).join(', ')}`,
        `On ${host}, make them removable (EPERM: lsattr, chattr -i; EACCES: chown) or remove them. The worker tries again within a minute.`,
      );
  for (const { worker_id: id, host, short_of: short } of there)
    if (short !== undefined)
      yield warning('shortage', `${host} is short of ${short}, so ${id} takes tasks more slowly`, SHORT);
  for (const { worker_id: id, host, clock_ahead_ms: ahead = 0 } of there)
    if (Math.abs(ahead) >= WRONG_CLOCK_MS)
      yield warning('clock', `the clock of ${id} on ${host} is ${difference(ahead)} the broker's`, KEEP_TIME);
  const weakest = CONTAINMENTS.findLast((kind) => there.some(({ containment }) => containment === kind));
  if (weakest !== undefined) yield EXPOSED[weakest];
}

/** `1.5 s ahead of`. Pure. */
export const difference = (aheadMs: number): string =>
  `${(Math.abs(aheadMs) / 1_000).toLocaleString('en-US')} s ${aheadMs < 0 ? 'behind' : 'ahead of'}`;

/** KSI goes by the broker's time, but logs and programs that Claude runs do not. */
export const KEEP_TIME =
  'KSI goes by the broker. For logs and tools, keep all clocks with NTP (chrony, systemd-timesyncd).';

const SHORT = 'Raise the limit of the user that runs the workers, or lower KSI_CONCURRENCY.';

const LIMITED =
  'Wait for the reset. If the time is wrong: ksi workers lift-limit. KSI_USAGE_LIMIT=task limits a single task only.';

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
