import type { Session } from '../../contracts/sessions/sessions.js';
import { isEnded } from '../../contracts/tasks/states.js';
import { addUsage, NO_USAGE } from '../../contracts/access/usage.js';
import type { TaskRow } from './projection.js';

/**
 * Pure: what a session is after one of its tasks became `after`, having been `before`.
 * @param before undefined: the task is new. @param after undefined: it was deleted.
 * @returns undefined: no task is left of it.
 */
export function sessionAfter(
  session: Session | undefined,
  before: TaskRow | undefined,
  after: TaskRow | undefined,
): Session | undefined {
  const task = after ?? before;
  if (task === undefined) return session;
  const sofar = session ?? beginningOf(task);
  const tasks = sofar.tasks + Number(after !== undefined) - Number(before !== undefined);
  if (tasks === 0) return undefined;
  const taken = addUsage(sofar.usage, before?.usage ?? NO_USAGE, -1);
  return {
    ...sofar,
    ...facts(task),
    tasks,
    open: sofar.open + openIn(after) - openIn(before),
    created_at: task.created_at < sofar.created_at ? task.created_at : sofar.created_at,
    updated_at: latest(sofar.updated_at, task.ended_at ?? task.started_at ?? task.created_at),
    last_task_id: task.task_id > sofar.last_task_id ? task.task_id : sofar.last_task_id,
    usage: addUsage(taken, after?.usage ?? NO_USAGE),
  };
}

const openIn = (row: TaskRow | undefined): number => Number(row !== undefined && !isEnded(row.status));
const latest = (a: string, b: string): string => (a > b ? a : b);

/** What some of its tasks say of it. */
const facts = ({ session_name, agent_id, fork_of, workspace }: TaskRow): Partial<Session> => ({
  ...(session_name === undefined ? {} : { session_name }),
  ...(agent_id === undefined ? {} : { agent_id }),
  ...(fork_of === undefined ? {} : { fork_of }),
  ...(workspace === undefined ? {} : { workspace }),
});

const beginningOf = ({ session_id, owner, created_at, task_id }: TaskRow): Session => ({
  session_id,
  owner,
  created_at,
  updated_at: created_at,
  tasks: 0,
  open: 0,
  last_task_id: task_id,
  usage: NO_USAGE,
});
