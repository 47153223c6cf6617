import type { EventEnvelope } from '../../contracts/events/events.js';
import type { Task } from '../../contracts/tasks/task.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import { KsiTaskError } from './errors.js';

/** The outcome of a task, from its last event. The fields are those of a task. */
export type TaskOutcome = Pick<Task, 'status' | 'ended_at' | 'output' | 'error' | 'reason' | 'usage'>;

const FIELDS = ['output', 'error', 'reason', 'usage'] as const;

/** @returns undefined if the event is not an outcome */
export function outcomeOf({ type, timestamp, data }: EventEnvelope): TaskOutcome | undefined {
  const status = statusOfEvent(type);
  if (status === undefined || !isEnded(status)) return undefined;
  const fields = Object.fromEntries(FIELDS.filter((name) => name in data).map((name) => [name, data[name]]));
  return { status, ended_at: timestamp, ...(fields as Partial<TaskOutcome>) };
}

/** Returns a completed task. @throws {KsiTaskError} if the task has another outcome */
export function completed(task: Task): Task {
  if (task.status !== 'completed') throw new KsiTaskError(task);
  return task;
}
