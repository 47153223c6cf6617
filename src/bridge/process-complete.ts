import type { Logger } from 'pino';
import type { Task } from '../../contracts/tasks/task.js';
import { pause, pauseBefore } from '../client/backoff.js';
import { KsiError } from '../client/errors.js';
import type { Transport } from '../client/transport.js';
import { isTransient } from './errors.js';
import type { PendingRun } from './files/run-journal.js';
import type { AgentDirectory } from './agent-directory.js';
import { resultOf, type Announce } from './runs.js';

/** Sends an agent the daemon's PROCESS_COMPLETE when its run has ended. A retry sends the same message id, so KSI stores it once. */
export function announcer(ksi: Transport, directory: AgentDirectory, log: Logger): Announce {
  return async (run, task, message_id, signal) => {
    const agent = run.agent_id ?? '';
    for (let tries = 0; ; tries++) {
      try {
        const to = await directory.ensure(agent);
        // A message to a managed agent would become a task. Without an addressee, it reaches the subscribers only.
        const external = (await directory.find(agent))?.kind === 'external';
        const message = { type: 'PROCESS_COMPLETE', payload: completion(run, task), message_id };
        await ksi.call('send', external ? { ...message, to } : message, { signal });
        return;
      } catch (error) {
        signal.throwIfAborted();
        directory.forget(run.agent_id);
        // 404: the agent was removed since `ensure`, and is registered again.
        if (!isTransient(error) && !(error instanceof KsiError && error.status === 404)) {
          log.error({ err: error, agent_id: agent, task_id: run.task_id }, 'KSI refused PROCESS_COMPLETE');
          return;
        }
        await pause(pauseBefore(tries), signal);
      }
    }
  };
}

function completion(run: PendingRun, task: Task): Record<string, unknown> {
  const of = { process_id: run.task_id, agent_id: run.agent_id };
  const result = resultOf(task);
  if (task.status !== 'completed') return { ...of, status: 'error', error: result['error'] };
  return { ...of, session_id: run.session_id, result: result['result'] ?? '', status: 'success' };
}
