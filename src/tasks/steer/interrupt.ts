import type { Task } from '../../../contracts/tasks/task.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { TaskReader } from '../reader.js';
import { askRunning } from './running.js';

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
    const answer = await askRunning(this.#broker, task, 'interrupt', { by: principal.owner });
    if (!answer.ok) throw new ApiError('not_running', `The attempt of task ${id} is about to end, or lost`);
    return { ...task, status: 'running' };
  }
}
