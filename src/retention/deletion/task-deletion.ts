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

/** The fields of a task that its deletion needs. */
export type DeletableTask = Pick<
  Task,
  'task_id' | 'session_id' | 'session_name' | 'owner' | 'status' | 'ended_at' | 'message' | 'usage' | 'exchange_id'
>;

export interface DeletionResult<T> {
  readonly removed: readonly T[];
  /** The tasks that were not deleted. */
  readonly refused: readonly { readonly task: T; readonly error: ApiError }[];
}

/** The broker answers requests one after the other, so more concurrent requests would only wait there. */
const CONCURRENCY = 32;
/** The read model follows within milliseconds if the broker can be reached. */
const MODEL_TIMEOUT_MS = 5_000;

/**
 * Deletes tasks from the broker and from the read model. Publishes TASK_DELETED last, so that an interrupted deletion can be repeated. Creates no
 * consumers: the broker would keep them for minutes.
 */
export class TaskDeletion {
  readonly #options: TaskDeletionOptions;
  readonly #batcher: Batcher;

  constructor(options: TaskDeletionOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.broker.publisher);
  }

  /** @param by the owner of the token that requested the deletion. @throws {BrokerError} */
  async remove<T extends DeletableTask>(tasks: readonly T[], by: string): Promise<DeletionResult<T>> {
    const { broker, blobs, model, messages } = this.#options;
    const removed: T[] = [];
    const refused: { task: T; error: ApiError }[] = [];
    await inParallel(tasks, CONCURRENCY, async (task) => {
      try {
        await this.#dequeue(task);
        removed.push(task);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        refused.push({ task, error });
      }
    });
    const ids = new Set(removed.map(({ task_id: id }) => id));
    // Each of these reads a whole stream or bucket, so it is called once for all tasks.
    await messages.remove(removed);
    await blobs.deleteOf(['command', 'dead'], ids);
    await blobs.deleteOf(['event'], ids);
    const { lastSeq } = await streamPosition(broker, STREAM.events);
    await inParallel(removed, CONCURRENCY, (task) => this.#purgeMessages(task, lastSeq));
    await Promise.all(removed.map((task) => this.#publish(task, by)));
    // Other APIs apply the event later. This API's read model must lack the tasks before the request is answered.
    await model.remove(ids, MODEL_TIMEOUT_MS);
    return { removed, refused };
  }

  /** Removes a run that is still in its queue. Without its outcome event, it would run again. @throws {ApiError} not_ended, conflict */
  async #dequeue(task: DeletableTask): Promise<void> {
    const { broker, log } = this.#options;
    const { task_id: id, session_id: sessionId, ended_at: endedAt } = task;
    // A task with an end time has ended, although the broker may no longer have its events.
    if (endedAt === undefined) {
      const { status } = await lastState(broker, id);
      if (!isEnded(status)) throw new ApiError('not_ended', `Task ${id} is ${status}`);
    }
    if (!(await hasAny(broker, STREAM.commands, SUBJECT.session(sessionId)))) return;
    await releaseUnstarted(broker, task, log);
    if ((await findEntry(broker, { taskId: id, sessionId })) !== undefined)
      throw new ApiError('conflict', `Task ${id} could not be removed from its queue`);
  }

  /** Deletes the messages of a task. @param lastSeq the last event to delete. TASK_DELETED, also another API's, comes later. */
  async #purgeMessages({ task_id: id, status }: DeletableTask, lastSeq: number): Promise<void> {
    const { broker } = this.#options;
    await purge(broker, STREAM.ended, SUBJECT.ended(id));
    // Only a task that was given up has a dead letter.
    if (status !== 'completed') await purge(broker, STREAM.dead, SUBJECT.dead('*', id));
    if (await hasAny(broker, STREAM.events, SUBJECT.taskDeleted(id))) {
      // Keep an earlier TASK_DELETED: it contains the cost of the task.
      for (const subject of [SUBJECT.taskStates, SUBJECT.taskOutput, SUBJECT.taskApproval, SUBJECT.taskInput])
        await purge(broker, STREAM.events, subject(id));
    } else await purge(broker, STREAM.events, SUBJECT.taskAll(id), lastSeq);
    await purge(broker, STREAM.outcomes, SUBJECT.outcome(id, '*'));
  }

  /** Publishes TASK_DELETED. Only a task's first one contains its cost, as another API may delete the task at the same time. */
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
    return {
      spent: { usd: usage.cost_usd, ended_on: endedAt.slice(0, 10), ...defined({ token_id, exchange_id }) },
    };
  }
}
