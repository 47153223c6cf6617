import type { EventEnvelope } from '../../contracts/events/events.js';
import type { Task } from '../../contracts/tasks/task.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import { KsiTaskError } from './errors.js';

/** How a task ended, as its last event says; fields as in a task. */
export type TaskOutcome = Pick<Task, 'status' | 'ended_at' | 'output' | 'error' | 'reason' | 'usage'>;

const FIELDS = ['output', 'error', 'reason', 'usage'] as const;

/** @returns undefined when the event is no outcome. */
export function outcomeOf({ type, timestamp, data }: EventEnvelope): TaskOutcome | undefined {
  const status = statusOfEvent(type);
  if (status === undefined || !isEnded(status)) return undefined;
  const told = Object.fromEntries(FIELDS.filter((name) => name in data).map((name) => [name, data[name]]));
  return { status, ended_at: timestamp, ...(told as Partial<TaskOutcome>) };
}

/** @throws {KsiTaskError} unless it is completed. */
export function completed(task: Task): Task {
  if (task.status !== 'completed') throw new KsiTaskError(task);
  return task;
}
