import type { Task } from '../../../contracts/tasks/task.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { TaskReader } from '../reader.js';
import { askRunning } from './running.js';

/** Says more to Claude while it works at a task. */
export class Inputs {
  readonly #broker: Broker;
  readonly #tasks: Pick<TaskReader, 'task'>;

  constructor(broker: Broker, tasks: Pick<TaskReader, 'task'>) {
    this.#broker = broker;
    this.#tasks = tasks;
  }

  /** @returns the task once Claude is told; it reads it at its next step. @throws {ApiError} not_running also when its last turn is over. */
  async say(id: string, text: string, principal: Principal): Promise<Task> {
    const task = await this.#tasks.task(id, principal);
    const answer = await askRunning(this.#broker, task, 'input', { by: principal.owner, text });
    if (!answer.ok) throw new ApiError('not_running', `Task ${id} takes no more input: its last turn is over`);
    return { ...task, status: 'running' };
  }
}
