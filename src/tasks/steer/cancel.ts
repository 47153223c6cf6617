import type { Logger } from 'pino';
import type { Task } from '../../../contracts/tasks/task.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError, apiErrorOf } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { TaskReader } from '../reader.js';
import { askWorker } from './control.js';
import { stateOf } from '../state.js';
import { storeCancelled } from './store-cancelled.js';
import { withdraw } from './withdraw.js';

/** Each try loses to a state event of the task's own life, of which there are few in a moment. */
const MAX_TRIES = 20;
/** For the event to come round to this API's read model. */
const SHOWN_WITHIN_MS = 300;

/**
 * Cancels tasks in any state, from any API. The outcome is a SPAWN_CANCELLED over the state that was read, so it wins or
 * is tried again; what runs is fenced by it, whether or not its worker answers.
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

  /** @returns the task, cancelled. @throws {ApiError} task_ended when it has another outcome. */
  async cancel(id: string, principal: Principal): Promise<Task> {
    const task = await this.#tasks.task(id, principal);
    try {
      for (let tries = 1; tries <= MAX_TRIES; tries++)
        if (await this.#try(task, principal)) return await this.#shown(task, principal);
    } catch (error) {
      throw apiErrorOf(error);
    }
    throw new ApiError('conflict', `The state of task ${id} changes too fast`);
  }

  /** @returns false when the task's state has changed meanwhile. */
  async #try(task: Task, { owner }: Principal): Promise<boolean> {
    const { status, seq, process } = await stateOf(this.#broker, task);
    if (status === 'cancelled') return true;
    if (isEnded(status)) throw new ApiError('task_ended', `Task ${task.task_id} is ${status}`);
    if (status === 'running') {
      const answer = await askWorker(this.#broker, { process, taskId: task.task_id }, 'cancel', { by: owner });
      if (answer?.ok === true) return true;
      // Without its worker: the event below fences it, wherever it is.
      this.#log.info({ task_id: task.task_id, answer }, 'a running task is cancelled without its worker');
    }
    if (!(await storeCancelled(this.#broker, task, seq, { reason: 'requested', by: owner }))) return false;
    // The run of an attempt that may still be alive goes off the queue with its lease: the session's next must not overlap it.
    if (status !== 'running') await withdraw(this.#broker, task, this.#log);
    return true;
  }

  async #shown(task: Task, principal: Principal): Promise<Task> {
    const shown = await this.#tasks.ended(task.task_id, principal, AbortSignal.timeout(SHOWN_WITHIN_MS));
    // The read model is behind; the event is stored all the same.
    return shown.ended_at === undefined ? { ...shown, status: 'cancelled', reason: 'requested' } : shown;
  }
}
