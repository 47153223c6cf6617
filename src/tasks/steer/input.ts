import type { Task } from '../../../contracts/tasks/task.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { TaskReader } from '../reader.js';
import { requestAttempt } from './attempt-request.js';

/** Sends input to running tasks. */
export class Inputs {
  readonly #broker: Broker;
  readonly #tasks: Pick<TaskReader, 'task'>;

  constructor(broker: Broker, tasks: Pick<TaskReader, 'task'>) {
    this.#broker = broker;
    this.#tasks = tasks;
  }

  /** Resolves when the worker has passed the text on. Claude reads it at its next step. @throws {ApiError} not_running (also after the last Claude turn) */
  async say(id: string, text: string, principal: Principal): Promise<Task> {
    const task = await this.#tasks.task(id, principal);
    const answer = await requestAttempt(this.#broker, task, 'input', { by: principal.owner, text });
    if (!answer.ok)
      throw new ApiError(
        'not_running',
        `Task ${id} accepts no more input because its last turn is over. Send a new task to its session`,
      );
    return { ...task, status: 'running' };
  }
}
