import type { Logger } from 'pino';
import type { Task } from '../../../contracts/tasks/task.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import type { Broker } from '../../broker/connect.js';
import { contend } from '../../broker/contention.js';
import { dataIn, identityOf, transition } from '../../broker/task-states.js';
import { ApiError, withApiErrors } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { TaskReader } from '../reader.js';
import { requestWorker } from './worker-request.js';
import { stateOf } from './shown-state.js';
import { releaseUnstarted } from './release-unstarted.js';

/** The maximum wait for the event to reach this API's read model. */
const SHOWN_WITHIN_MS = 300;

/**
 * Cancels tasks in any state, from any API, by a compare-and-set of SPAWN_CANCELLED on the task's last state. The event fences a running
 * attempt, whether or not its worker answers.
 */
export class Canceller {
  readonly #broker: Broker;
  readonly #tasks: Pick<TaskReader, 'task' | 'ended'>;
  readonly #log: Logger;

  constructor(broker: Broker, tasks: Pick<TaskReader, 'task' | 'ended'>, log: Logger) {
    this.#broker = broker;
    this.#tasks = tasks;
    this.#log = log;
  }

  /** @returns the cancelled task. @throws {ApiError} task_ended if it has another outcome. */
  async cancel(id: string, principal: Principal): Promise<Task> {
    const task = await this.#tasks.task(id, principal);
    return withApiErrors(async () => {
      await contend(() => this.#try(task, principal));
      return this.#cancelledTask(task, principal);
    });
  }

  /** @returns undefined if the task's state has changed meanwhile. */
  async #try(task: Task, { owner }: Principal): Promise<true | undefined> {
    const state = await stateOf(this.#broker, task);
    const { status } = state;
    if (status === 'cancelled') return true;
    if (isEnded(status)) throw new ApiError('task_ended', `Task ${task.task_id} is ${status}`);
    if (status === 'running') {
      const { process } = dataIn(state, 'running');
      const answer = await requestWorker(this.#broker, { process, taskId: task.task_id }, 'cancel', { by: owner });
      if (answer?.ok === true) return true;
      // The event below fences the attempt, wherever it runs.
      this.#log.info({ task_id: task.task_id, answer }, 'cancelling a running task without its worker');
    }
    const data = { ...identityOf(task), reason: 'requested' as const, by: owner };
    if ((await transition(this.#broker, state, 'cancelled', data)) === undefined) return undefined;
    // A running attempt may still be alive. Its run stays in the queue until its lease ends, so that the session's next task does not overlap it.
    if (status !== 'running') await releaseUnstarted(this.#broker, task, this.#log);
    return true;
  }

  async #cancelledTask(task: Task, principal: Principal): Promise<Task> {
    const shown = await this.#tasks.ended(task.task_id, principal, AbortSignal.timeout(SHOWN_WITHIN_MS));
    // The read model is behind, but the event is stored.
    return shown.ended_at === undefined ? { ...shown, status: 'cancelled', reason: 'requested' } : shown;
  }
}
