import type { Task } from '../../../contracts/http.js';
import { isEnded } from '../../../contracts/states.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError, apiErrorOf } from '../api-error.js';
import type { Principal } from '../principal.js';
import type { TaskReader } from '../task-reader.js';
import { askWorker } from './control.js';
import { stateOf } from '../task-state.js';

/** Has running attempts end their turn in Claude's own way; the outcome then says so. */
export class Interrupter {
  readonly #broker: Broker;
  readonly #tasks: Pick<TaskReader, 'task'>;

  constructor(broker: Broker, tasks: Pick<TaskReader, 'task'>) {
    this.#broker = broker;
    this.#tasks = tasks;
  }

  /** @returns the task once Claude is told. @throws {ApiError} */
  async interrupt(id: string, principal: Principal): Promise<Task> {
    const task = await this.#tasks.task(id, principal);
    try {
      const { status, process } = await stateOf(this.#broker, task);
      if (isEnded(status)) throw new ApiError('task_ended', `Task ${id} is ${status}`);
      if (status !== 'running') throw new ApiError('not_running', `Task ${id} is ${status}`);
      const answer = await askWorker(this.#broker, { process, taskId: id }, 'interrupt', principal.owner);
      if (answer === undefined) throw new ApiError('worker_unreachable', `No worker answers for task ${id}`);
      if (!answer.ok) throw new ApiError('not_running', `The attempt of task ${id} is about to end, or lost`);
      return { ...task, status };
    } catch (error) {
      throw apiErrorOf(error);
    }
  }
}
