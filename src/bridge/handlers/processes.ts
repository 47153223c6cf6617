import type { Task } from '../../../contracts/tasks/task.js';
import { TASK_STATUSES, isEnded } from '../../../contracts/tasks/states.js';
import { legacyAgentId } from '../agent-ids.js';
import { AGENT_METADATA } from '../runs.js';
import { fitting } from './fitting.js';
import type { Handler } from './handler.js';

const OPEN = TASK_STATUSES.filter((status) => !isEnded(status));
const PAGE = 500;

/** A process is an open task of the owner, no matter which client requested it. */
export const getProcesses: Handler<'GET_PROCESSES'> = async (_parameters, { client, runs }) => {
  const processes: [string, object][] = [];
  for await (const task of client.tasks.list({ status: OPEN, limit: PAGE }))
    processes.push([
      task.task_id,
      {
        agent_id: runs.known(task.task_id)?.agent_id ?? agentOf(task),
        model: task.model ?? null,
        started_at: task.started_at ?? task.created_at,
        session_id: task.session_id,
      },
    ]);
  const { shown, ...omitted } = fitting(processes);
  return { result: { processes: shown, ...omitted } };
};

function agentOf({ agent_id: id, metadata }: Task): string | null {
  return metadata?.[AGENT_METADATA] ?? (id === undefined ? null : legacyAgentId(id));
}
