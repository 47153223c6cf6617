import type { DeletionPending, TasksDeleted, TasksDeleteQuery } from '../../../contracts/retention/deletion.js';
import type { EventEnvelope } from '../../../contracts/events/events.js';
import type { EventPage } from '../../../contracts/events/pages.js';
import type { Task, TaskPage, TasksQuery } from '../../../contracts/tasks/task.js';
import { listing, paged, type Listing } from '../listing.js';
import { TaskHandle, type SpawnedTask } from '../task-handle.js';
import type { CallOptions, FollowOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Tasks. `KsiApi.spawn` creates one. */
export class Tasks extends Resource {
  /** Gets a task. @throws {KsiError} `not_found` */
  get(id: string, options: CallOptions = {}): Promise<Task> {
    return this.transport.call('task', { id }, options);
  }

  /** Lists tasks, newest first. Without their outputs, unless `include` is `output`. */
  list(query: TasksQuery = {}, options: CallOptions = {}): Listing<TaskPage> {
    return listing(this.transport, 'tasks', query, options);
  }

  /** A handle to follow and steer an existing task. Makes no request. @param since a cursor just before the task's first event, if known */
  handle(id: string, { since }: { readonly since?: string | undefined } = {}): TaskHandle {
    return new TaskHandle(this.transport, id, since);
  }

  /** Cancels a task in any state. @returns the cancelled task. @throws {KsiError} `task_ended` if it has another outcome */
  cancel(id: string, options: CallOptions = {}): Promise<Task> {
    return this.handle(id).cancel(options);
  }

  /** Makes Claude end its turn. Resolves once Claude has received the request; the outcome follows. @throws {KsiError} `not_running` */
  interrupt(id: string, options: CallOptions = {}): Promise<Task> {
    return this.handle(id).interrupt(options);
  }

  /** Sends text to Claude while it works on a task. Resolves once Claude has received it. @throws {KsiError} `not_running` */
  input(id: string, text: string, options: CallOptions = {}): Promise<Task> {
    return this.handle(id).input(text, options);
  }

  /** Runs an ended task again, as a new task each time. Deletes its dead letter, if it has one. @throws {KsiError} `not_ended`, `not_retryable` */
  retry(id: string, options: CallOptions = {}): Promise<SpawnedTask> {
    return this.handle(id).retry(options);
  }

  /**
   * Deletes an ended task permanently, and its session if that has no other task.
   * @returns the folders that workers have not deleted yet. Undefined if there are none. @throws {KsiError} `not_ended`: cancel the task first.
   */
  delete(id: string, options: CallOptions = {}): Promise<DeletionPending | undefined> {
    return this.transport.call('task_delete', { id }, options);
  }

  /**
   * Deletes the ended tasks that match. `await` deletes one page (`limit` tasks, default: 200); `for await` deletes all pages and yields the answer
   * for each. With `dry_run`, it deletes nothing and only counts.
   */
  deleteMatching(query: TasksDeleteQuery, options: CallOptions = {}): Listing<TasksDeleted, TasksDeleted> {
    return paged(
      (cursor) => this.transport.call('tasks_delete', { ...query, ...cursor }, options),
      (page) => [page],
    );
  }

  /** Yields the past and future events of a task, up to its outcome. A broken connection is resumed with no missed or duplicate events. */
  events(id: string, options: FollowOptions = {}): AsyncGenerator<EventEnvelope> {
    return this.transport.taskEvents(id, options);
  }

  /** Lists the stored events of a task, in order. */
  pastEvents(id: string, options: CallOptions = {}): Listing<EventPage> {
    return listing(this.transport, 'task_events', { id }, options);
  }
}
