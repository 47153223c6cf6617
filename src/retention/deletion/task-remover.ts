import type { Logger } from 'pino';
import type { Task } from '../../../contracts/tasks/task.js';
import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { eventPublication, newEvent } from '../../broker/events.js';
import { purge } from '../../broker/purge.js';
import { hasAny } from '../../broker/read.js';
import { placeOf } from '../../broker/session-queue.js';
import type { ReadModel } from '../../store/read-model.js';
import { Batcher } from '../../broker/batcher.js';
import type { TaskMessages } from '../../agents/task-messages.js';
import { ApiError } from '../../errors/api-error.js';
import { withdraw } from '../../tasks/steer/withdraw.js';
import { lastState } from '../../broker/task-states.js';
import { inParallel } from './in-parallel.js';

export interface TaskRemoverOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly model: Pick<ReadModel, 'remove'>;
  readonly messages: Pick<TaskMessages, 'remove'>;
  readonly log: Logger;
}

/** What the deletion of a task needs to know of it. */
export type Removable = Pick<
  Task,
  'task_id' | 'session_id' | 'session_name' | 'owner' | 'status' | 'ended_at' | 'message'
>;

export interface Removal<T> {
  readonly removed: readonly T[];
  /** Tasks that stay. */
  readonly refused: readonly { readonly task: T; readonly error: ApiError }[];
}

/** Requests that are under way at once. The broker answers them one after the other; more would only wait there. */
const AT_ONCE = 32;

/**
 * Deletes tasks from the broker and from the read model. TASK_DELETED is stored last, so that a deletion that was broken off can be asked for
 * again. Makes no consumer: the broker would keep it for minutes.
 */
export class TaskRemover {
  readonly #options: TaskRemoverOptions;
  readonly #batcher: Batcher;

  constructor(options: TaskRemoverOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.broker.publisher);
  }

  /** @param by the owner of the token that asked. @throws {BrokerError} */
  async remove<T extends Removable>(tasks: readonly T[], by: string): Promise<Removal<T>> {
    const { broker, blobs, model, messages } = this.#options;
    const removed: T[] = [];
    const refused: { task: T; error: ApiError }[] = [];
    await inParallel(tasks, AT_ONCE, async (task) => {
      try {
        await this.#takeOff(task);
        removed.push(task);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        refused.push({ task, error });
      }
    });
    const ids = new Set(removed.map(({ task_id: id }) => id));
    // One reading of the inboxes, and one listing of names, for all tasks.
    await messages.remove(removed);
    await blobs.deleteOf(['command', 'dead'], ids);
    await blobs.deleteOf(['event'], ids);
    await inParallel(removed, AT_ONCE, (task) => this.#clear(task));
    await Promise.all(
      removed.map(({ task_id: id, session_id, owner }) => {
        const event = newEvent(broker.clock, 'TASK_DELETED', { task_id: id, session_id, owner, by });
        return this.#batcher.publish(eventPublication(event, SUBJECT.taskDeleted(id)));
      }),
    );
    // The other APIs hear of it. Here the task is gone when the answer says so.
    await model.remove(ids);
    return { removed, refused };
  }

  /** Without its outcome, a run that still stands in the queue would be run again. @throws {ApiError} not_ended, conflict */
  async #takeOff(task: Removable): Promise<void> {
    const { broker, log } = this.#options;
    const { task_id: id, session_id: sessionId, ended_at: endedAt } = task;
    // The read model keeps an outcome for longer than the broker keeps the events.
    if (endedAt === undefined) {
      const { status } = await lastState(broker, id);
      if (!isEnded(status)) throw new ApiError('not_ended', `Task ${id} is ${status}`);
    }
    if (!(await hasAny(broker, STREAM.commands, SUBJECT.session(sessionId)))) return;
    await withdraw(broker, task, log);
    if ((await placeOf(broker, { taskId: id, sessionId })) !== undefined)
      throw new ApiError('conflict', `Task ${id} could not be taken off the queue`);
  }

  async #clear({ task_id: id, status }: Removable): Promise<void> {
    const { broker } = this.#options;
    await purge(broker, STREAM.ended, SUBJECT.ended(id));
    // Only a task that was given up has a dead letter.
    if (status !== 'completed') await purge(broker, STREAM.dead, SUBJECT.dead('*', id));
    await purge(broker, STREAM.events, SUBJECT.taskAll(id));
    await purge(broker, STREAM.outcomes, SUBJECT.outcome(id, '*'));
  }
}
