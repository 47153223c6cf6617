import type { Session } from '../../contracts/sessions/sessions.js';
import { isEnded } from '../../contracts/tasks/states.js';
import { addUsage, NO_USAGE } from '../../contracts/access/usage.js';
import type { TaskRow } from './projection.js';
import { defined } from '../defined.js';

/**
 * The session after one of its tasks changed.
 * @param before undefined: the task is new. @param after undefined: the task was deleted.
 * @returns undefined if the session has no tasks left.
 */
export function sessionAfter(
  session: Session | undefined,
  before: TaskRow | undefined,
  after: TaskRow | undefined,
): Session | undefined {
  const task = after ?? before;
  if (task === undefined) return session;
  const current = session ?? newSession(task);
  const tasks = current.tasks + Number(after !== undefined) - Number(before !== undefined);
  if (tasks === 0) return undefined;
  const others = addUsage(current.usage, before?.usage ?? NO_USAGE, -1);
  return {
    ...current,
    ...facts(task),
    tasks,
    open: current.open + openIn(after) - openIn(before),
    created_at: task.created_at < current.created_at ? task.created_at : current.created_at,
    updated_at: latest(current.updated_at, task.ended_at ?? task.started_at ?? task.created_at),
    last_task_id: task.task_id > current.last_task_id ? task.task_id : current.last_task_id,
    usage: addUsage(others, after?.usage ?? NO_USAGE),
  };
}

const openIn = (row: TaskRow | undefined): number => Number(row !== undefined && !isEnded(row.status));
const latest = (a: string, b: string): string => (a > b ? a : b);

/** Fields that some of its tasks have. */
const facts = ({ session_name, agent_id, fork_of, workspace }: TaskRow): Partial<Session> =>
  defined({
    session_name,
    agent_id,
    fork_of,
    workspace,
  });

const newSession = ({ session_id, owner, created_at, task_id }: TaskRow): Session => ({
  session_id,
  owner,
  created_at,
  updated_at: created_at,
  tasks: 0,
  open: 0,
  last_task_id: task_id,
  usage: NO_USAGE,
});
