import type { DeletionPending, TasksDeleted, TasksDeleteQuery } from '../../../contracts/retention/deletion.js';
import type { EventEnvelope } from '../../../contracts/events/events.js';
import type { EventPage } from '../../../contracts/events/pages.js';
import type { Task, TaskPage, TasksQuery } from '../../../contracts/tasks/task.js';
import { listing, paged, type Listing } from '../listing.js';
import { TaskHandle, type SpawnedTask } from '../task-handle.js';
import type { CallOptions, FollowOptions, Transport } from '../transport.js';

export class Tasks {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<Task> {
    return this.#transport.call('task', { id }, options);
  }

  /** The newest first. */
  list(query: TasksQuery = {}, options: CallOptions = {}): Listing<TaskPage> {
    return listing(this.#transport, 'tasks', query, options);
  }

  /** To follow and steer one; asks nothing. @param since a cursor from before its first event, if one is known. */
  handle(id: string, { since }: { readonly since?: string | undefined } = {}): TaskHandle {
    return new TaskHandle(this.#transport, id, since);
  }

  /** Cancels a task in any state. @returns it, cancelled. @throws {KsiError} `task_ended`: it has another outcome. */
  cancel(id: string, options: CallOptions = {}): Promise<Task> {
    return this.handle(id).cancel(options);
  }

  /** Has Claude end its turn; the outcome follows. @throws {KsiError} `not_running` */
  interrupt(id: string, options: CallOptions = {}): Promise<Task> {
    return this.handle(id).interrupt(options);
  }

  /** Says more to Claude while it works at a task. @throws {KsiError} `not_running` */
  input(id: string, text: string, options: CallOptions = {}): Promise<Task> {
    return this.handle(id).input(text, options);
  }

  /** Runs an ended task again, as a new one each time; one that has a dead letter is put back. @throws {KsiError} `not_ended`, `not_retryable` */
  retry(id: string, options: CallOptions = {}): Promise<SpawnedTask> {
    return this.handle(id).retry(options);
  }

  /** Deletes an ended task for good. @returns what hosts of workers have still to remove; undefined: nothing. @throws {KsiError} `not_ended`: cancel it first. */
  delete(id: string, options: CallOptions = {}): Promise<DeletionPending | undefined> {
    return this.#transport.call('task_delete', { id }, options);
  }

  /**
   * Deletes the ended tasks that match, page by page. Awaited, it is the first page; iterate over it (`for await`) to delete them all.
   * With `dry_run` it deletes nothing, and counts.
   */
  deleteMatching(query: TasksDeleteQuery, options: CallOptions = {}): Listing<TasksDeleted, TasksDeleted> {
    return paged(
      (cursor) => this.#transport.call('tasks_delete', { ...query, ...cursor }, options),
      (page) => [page],
    );
  }

  /** A task's events, past and to come, to its outcome; a broken connection is resumed with no gap and no repeat. */
  events(id: string, options: FollowOptions = {}): AsyncGenerator<EventEnvelope> {
    return this.#transport.taskEvents(id, options);
  }

  /** What has happened to a task so far. */
  pastEvents(id: string, options: CallOptions = {}): Listing<EventPage> {
    return listing(this.#transport, 'task_events', { id }, options);
  }
}
