import type { Logger } from 'pino';
import type { Task } from '../../contracts/tasks/task.js';
import { isPassing, pause, pauseBefore } from '../client/backoff.js';
import { KsiError, KsiUnreachableError } from '../client/errors.js';
import type { Transport } from '../client/transport.js';
import type { PendingRun } from './files/run-journal.js';
import type { Roster } from './roster.js';
import { resultOf, type Announce } from './runs.js';

/** Tells an agent that its run has ended, in the daemon's name, by a PROCESS_COMPLETE; the same message, however often it is sent. */
export function announcer(ksi: Transport, roster: Roster, log: Logger): Announce {
  return async (run, task, message_id, signal) => {
    const agent = run.agent_id ?? '';
    for (let tries = 0; ; tries++) {
      try {
        const to = await roster.ensure(agent);
        // To one that KSI runs a letter would be a task; who subscribes hears of it all the same.
        const reads = (await roster.find(agent))?.kind === 'external';
        const message = { type: 'PROCESS_COMPLETE', payload: completion(run, task), message_id };
        await ksi.call('send', reads ? { ...message, to } : message, { signal });
        return;
      } catch (error) {
        signal.throwIfAborted();
        roster.forget(run.agent_id);
        const passing = error instanceof KsiUnreachableError || (error instanceof KsiError && (isPassing(error) || error.status === 404)); // prettier-ignore
        if (!passing) {
          log.error({ err: error, agent_id: agent, task_id: run.task_id }, 'PROCESS_COMPLETE was refused');
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
