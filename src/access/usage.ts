import type { Task } from '../../contracts/tasks/task.js';
import {
  addUsage,
  NO_USAGE,
  type UsageGroup,
  type UsagePage,
  type UsageQuery,
  type UsageRow,
} from '../../contracts/access/usage.js';
import type { TaskRow } from '../store/projection.js';
import type { ReadModel } from '../store/read-model.js';
import { invalid } from '../errors/api-error.js';
import { pageOfAll } from '../lists/page.js';
import { listedOwner, type Principal } from './principal.js';

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;

const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);

/** The usage of ended tasks, as Claude reports it, grouped by `query.by`. Default: by day, the last 30 days. @throws {ApiError} */
export async function usageOf(
  model: Pick<ReadModel, 'forEachEnded'>,
  query: UsageQuery,
  principal: Principal,
  now: number,
): Promise<UsagePage> {
  const { from: requestedFrom, to: until, by = 'day' } = query;
  const to = until ?? dayOf(now);
  const from = requestedFrom ?? dayOf(Date.parse(to) - (DEFAULT_DAYS - 1) * DAY_MS);
  if (from > to) throw invalid([{ field: 'from', message: 'is after `to`' }]);
  const owner = listedOwner(principal, query.owner);
  const rows = new Map<string, UsageRow>();
  let total = { tasks: 0, ...NO_USAGE };
  await model.forEachEnded({ owner, from, to }, (row) => {
    const key = KEYS[by](row) ?? '';
    rows.set(key, { key, ...counted(rows.get(key), row) });
    total = counted(total, row);
  });
  return { from, to, ...pageOfAll('usage', [...rows.values()], by === 'day' ? byKey : dearestFirst, query), total };
}

const counted = (sum: Omit<UsageRow, 'key'> | undefined, { usage = NO_USAGE }: Pick<Task, 'usage'>) => ({
  tasks: (sum?.tasks ?? 0) + 1,
  ...addUsage(sum ?? NO_USAGE, usage),
});

const KEYS: Readonly<Record<UsageGroup, (row: TaskRow) => string | undefined>> = {
  day: (row) => row.ended_at?.slice(0, 10),
  owner: (row) => row.owner,
  token: (row) => row.token_id,
  session: (row) => row.session_id,
  agent: (row) => row.agent_id,
  model: (row) => row.model,
};

const byKey = ({ key }: UsageRow): string => key;
const MAX_MICROS = Number.MAX_SAFE_INTEGER;
const dearestFirst = ({ key, cost_usd: cost }: UsageRow): string =>
  `${String(MAX_MICROS - Math.round(cost * 1e6)).padStart(16, '0')} ${key}`;
