import type { Logger } from 'pino';
import type { EventData } from '../../../contracts/events/events.js';
import type { Task } from '../../../contracts/tasks/task.js';
import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import type { Blobs } from '../../broker/blobs.js';
import type { Broker } from '../../broker/connect.js';
import { isBrokerError } from '../../broker/errors.js';
import { eventPublication, newEvent } from '../../broker/events.js';
import { purge } from '../../broker/purge.js';
import { hasAny, streamPosition } from '../../broker/read.js';
import { findEntry } from '../../broker/session-queue.js';
import type { TaskRow } from '../../store/projection.js';
import type { ReadModel } from '../../store/read-model.js';
import { Batcher } from '../../broker/batcher.js';
import type { TaskMessageDeletion } from '../../agents/delete-task-messages.js';
import { ApiError } from '../../errors/api-error.js';
import { releaseUnstarted } from '../../tasks/steer/release-unstarted.js';
import { lastState } from '../../broker/task-states.js';
import { inParallel } from './in-parallel.js';
import { defined } from '../../defined.js';

export interface TaskDeletionOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly model: Pick<ReadModel, 'get' | 'remove'>;
  readonly messages: Pick<TaskMessageDeletion, 'remove'>;
  readonly log: Logger;
}

/** What the deletion of a task needs to know of it. */
export type DeletableTask = Pick<
  Task,
  'task_id' | 'session_id' | 'session_name' | 'owner' | 'status' | 'ended_at' | 'message' | 'usage' | 'exchange_id'
>;

export interface DeletionResult<T> {
  readonly removed: readonly T[];
  /** Tasks that stay. */
  readonly refused: readonly { readonly task: T; readonly error: ApiError }[];
}

/** Requests that are under way at once. The broker answers them one after the other; more would only wait there. */
const AT_ONCE = 32;
/** The read model follows within milliseconds, if the broker can be reached. */
const APPLIED_WITHIN_MS = 5_000;

/**
 * Deletes tasks from the broker and from the read model. TASK_DELETED is stored last, so that a deletion that was broken off can be asked for
 * again. Makes no consumer: the broker would keep it for minutes.
 */
export class TaskDeletion {
  readonly #options: TaskDeletionOptions;
  readonly #batcher: Batcher;

  constructor(options: TaskDeletionOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.broker.publisher);
  }

  /** @param by the owner of the token that asked. @throws {BrokerError} */
  async remove<T extends DeletableTask>(tasks: readonly T[], by: string): Promise<DeletionResult<T>> {
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
    const { lastSeq } = await streamPosition(broker, STREAM.events);
    await inParallel(removed, AT_ONCE, (task) => this.#clear(task, lastSeq));
    await Promise.all(removed.map((task) => this.#publish(task, by)));
    // The other APIs hear of it. Here the task is gone when the answer says so.
    await model.remove(ids, APPLIED_WITHIN_MS);
    return { removed, refused };
  }

  /** Without its outcome, a run that still stands in the queue would be run again. @throws {ApiError} not_ended, conflict */
  async #takeOff(task: DeletableTask): Promise<void> {
    const { broker, log } = this.#options;
    const { task_id: id, session_id: sessionId, ended_at: endedAt } = task;
    // The read model keeps an outcome for longer than the broker keeps the events.
    if (endedAt === undefined) {
      const { status } = await lastState(broker, id);
      if (!isEnded(status)) throw new ApiError('not_ended', `Task ${id} is ${status}`);
    }
    if (!(await hasAny(broker, STREAM.commands, SUBJECT.session(sessionId)))) return;
    await releaseUnstarted(broker, task, log);
    if ((await findEntry(broker, { taskId: id, sessionId })) !== undefined)
      throw new ApiError('conflict', `Task ${id} could not be taken off the queue`);
  }

  /** @param lastSeq of the events: this deletion's own TASK_DELETED, or another API's, comes later. */
  async #clear({ task_id: id, status }: DeletableTask, lastSeq: number): Promise<void> {
    const { broker } = this.#options;
    await purge(broker, STREAM.ended, SUBJECT.ended(id));
    // Only a task that was given up has a dead letter.
    if (status !== 'completed') await purge(broker, STREAM.dead, SUBJECT.dead('*', id));
    if (await hasAny(broker, STREAM.events, SUBJECT.taskDeleted(id))) {
      // It stays, as it says what the task cost.
      for (const subject of [SUBJECT.taskStates, SUBJECT.taskOutput, SUBJECT.taskApproval, SUBJECT.taskInput])
        await purge(broker, STREAM.events, subject(id));
    } else await purge(broker, STREAM.events, SUBJECT.taskAll(id), lastSeq);
    await purge(broker, STREAM.outcomes, SUBJECT.outcome(id, '*'));
  }

  /** What the task cost is in the first TASK_DELETED alone: another API may be deleting it as well. */
  async #publish(task: DeletableTask, by: string): Promise<void> {
    const { task_id: id, session_id, owner } = task;
    const data = { task_id: id, session_id, owner, by };
    const subject = SUBJECT.taskDeleted(id);
    const event = newEvent(this.#options.broker.clock, 'TASK_DELETED', { ...data, ...this.#spent(task) });
    try {
      await this.#batcher.publish(eventPublication(event, subject, { filter: subject, seq: 0 }));
    } catch (error) {
      if (!isBrokerError(error, 'conflict')) throw error;
      await this.#batcher.publish(
        eventPublication(newEvent(this.#options.broker.clock, 'TASK_DELETED', data), subject),
      );
    }
  }

  #spent(task: DeletableTask): Pick<EventData<'TASK_DELETED'>, 'spent'> {
    const {
      usage,
      ended_at: endedAt,
      exchange_id,
      token_id,
    }: DeletableTask & Pick<TaskRow, 'token_id'> = this.#options.model.get(task.task_id) ?? task;
    if (usage === undefined || usage.cost_usd <= 0 || endedAt === undefined) return {};
    const ids = defined({
      token_id,
      exchange_id,
    });
    return { spent: { usd: usage.cost_usd, ended_on: endedAt.slice(0, 10), ...ids } };
  }
}
