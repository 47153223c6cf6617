import type { Task } from '../../../contracts/tasks/task.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { TaskReader } from '../reader.js';
import { requestAttempt } from './attempt-request.js';

/** Interrupts running tasks: Claude ends its turn, and the task's outcome says that it was interrupted. */
export class Interrupter {
  readonly #broker: Broker;
  readonly #tasks: Pick<TaskReader, 'task'>;

  constructor(broker: Broker, tasks: Pick<TaskReader, 'task'>) {
    this.#broker = broker;
    this.#tasks = tasks;
  }

  /** Resolves when the worker has passed the interrupt on. @throws {ApiError} */
  async interrupt(id: string, principal: Principal): Promise<Task> {
    const task = await this.#tasks.task(id, principal);
    const answer = await requestAttempt(this.#broker, task, 'interrupt', { by: principal.owner });
    if (!answer.ok) throw new ApiError('not_running', `The attempt of task ${id} is about to end or is lost`);
    return { ...task, status: 'running' };
  }
}
