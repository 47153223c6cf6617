import type { Fault, History, StoredRow } from './history.js';
import { byTask, isNotAccepted, isOutcome } from './checks/check.js';

export interface Figures {
  /** By `SIGKILL worker` and the like. */
  readonly faults: Readonly<Record<string, number>>;
  readonly posts: Readonly<Record<string, number>>;
  /** Accepted tasks by the type of their outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** SPAWN_RETRYs by their reason. */
  readonly retries: Readonly<Record<string, number>>;
  readonly accepted: number;
  readonly attempts: number;
  readonly events: number;
  /** Tasks whose requests were refused or cut off before their acceptance: those that say so, and those left as queued. */
  readonly notAccepted: Readonly<Record<string, number>>;
  readonly connections: number;
  readonly received: number;
  /**
   * From a fault on the worker that ran a task to the task's next start, in ms, ascending; apart those in whose time the
   * broker had a fault too, as nothing goes on without it.
   */
  readonly takeovers: Readonly<Record<Fault['kind'] | 'withoutBroker', readonly number[]>>;
  /** How long Claude's processes outlived their killed workers, in ms, ascending. */
  readonly orphans: readonly number[];
  /** From asking to the answer 202, in ms, ascending. */
  readonly acceptance: readonly number[];
  /** From asking to the answer that the broker is away, in ms, ascending. */
  readonly refusal: readonly number[];
  /** Longest time, in ms, between two acceptances. */
  readonly longestPause: number;
  /** From a POST of cancel to its answer 200, in ms, ascending. */
  readonly cancels: readonly number[];
}

const ascending = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);

function countBy<T>(items: readonly T[], key: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[key(item)] = (counts[key(item)] ?? 0) + 1;
  return counts;
}

const SIGNAL = { kill: 'SIGKILL', stop: 'SIGSTOP' } as const;

/** What a run came to, in numbers. Pure. */
export function figuresOf(history: History): Figures {
  const { posts, stored, faults, readers, cancels } = history;
  const tasks = byTask(stored);
  const ids = [...new Set(posts.flatMap(({ taskId }) => (taskId === undefined ? [] : [taskId])))];
  const acceptances = posts.filter(({ result }) => result === 'accepted');
  const answered = acceptances.map(({ answeredAt }) => answeredAt).toSorted((a, b) => a - b);
  return {
    faults: countBy(faults, ({ kind, role }) => `${SIGNAL[kind]} ${role}`),
    posts: countBy(posts, ({ result, status }) => (result === 'refused' ? `refused (${status ?? '?'})` : result)),
    outcomes: countBy(ids, (id) => tasks.get(id)?.find(isOutcome)?.type ?? 'none'),
    retries: countBy(
      stored.filter(({ type }) => type === 'SPAWN_RETRY'),
      ({ reason }) => reason ?? '?',
    ),
    accepted: ids.length,
    attempts: stored.filter(({ type }) => type === 'SPAWN_START').length,
    events: stored.length,
    notAccepted: {
      cancelled: [...tasks.values()].filter((rows) => rows.some(isNotAccepted)).length,
      'left as queued': [...tasks.values()].filter((rows) => rows.every(({ type }) => type === 'SPAWN_QUEUED')).length,
    },
    connections: readers.reduce((sum, reader) => sum + reader.connections, 0),
    received: readers.reduce((sum, { seqs }) => sum + seqs.length, 0),
    takeovers: takeovers(history),
    orphans: ascending(
      faults.flatMap(({ claudes }) => (claudes === undefined || claudes.count === 0 ? [] : [claudes.goneMs])),
    ),
    acceptance: ascending(acceptances.map(({ askedAt, answeredAt }) => answeredAt - askedAt)),
    refusal: ascending(
      posts.filter(({ status }) => status === 503).map(({ askedAt, answeredAt }) => answeredAt - askedAt),
    ),
    longestPause: Math.max(0, ...answered.slice(1).map((at, index) => at - (answered[index] ?? at))),
    cancels: ascending(
      cancels.filter(({ status }) => status === 200).map(({ askedAt, answeredAt }) => answeredAt - askedAt),
    ),
  };
}

/** What the broker may take to be back after its kill. */
const BROKER_BACK_MS = 3_000;

/** How long it took until each task that a worker ran when it was hit was started anew. */
function takeovers({ stored, faults }: History): Figures['takeovers'] {
  const workerOf = new Map(
    stored.flatMap(({ pid, workerId }) => (pid === undefined || workerId === undefined ? [] : [[pid, workerId]])),
  );
  const outages = faults
    .filter(({ role }) => role === 'broker')
    .map(({ at, continuedAt = at + BROKER_BACK_MS }) => ({ from: at, to: continuedAt }));
  const tasks = [...byTask(stored).values()];
  const found = faults.flatMap(({ role, kind, pid, at }) => {
    const workerId = role === 'worker' ? workerOf.get(pid) : undefined;
    const times = workerId === undefined ? [] : tasks.flatMap((rows) => takeover(rows, workerId, at));
    return times.map((ms) => {
      const withoutBroker = outages.some(({ from, to }) => from < at + ms && to > at);
      return { kind: withoutBroker ? ('withoutBroker' as const) : kind, ms };
    });
  });
  const of = (wanted: keyof Figures['takeovers']): number[] =>
    ascending(found.filter(({ kind }) => kind === wanted).map(({ ms }) => ms));
  return { kill: of('kill'), stop: of('stop'), withoutBroker: of('withoutBroker') };
}

function takeover(rows: readonly StoredRow[], workerId: string, at: number): number[] {
  const starts = rows.filter(({ type }) => type === 'SPAWN_START');
  const held = starts.findLast((row) => row.at <= at);
  if (held?.workerId !== workerId) return [];
  const end = rows.find((row) => row.seq > held.seq && (row.type === 'SPAWN_RETRY' || isOutcome(row)));
  const next = starts.find((row) => row.seq > held.seq);
  // It had ended before the fault, or ends without another attempt.
  if (next === undefined || end === undefined || end.at < at || end.reason !== 'worker_lost') return [];
  return [next.at - at];
}

/** The value that `part` of the ascending `values` don't exceed; undefined when there are none. */
export const percentile = (values: readonly number[], part: number): number | undefined =>
  values[Math.min(values.length - 1, Math.floor(values.length * part))];
