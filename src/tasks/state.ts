import type { StoredEvent } from '../../contracts/events/events.js';
import type { Task } from '../../contracts/tasks/task.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { statusOfSubject, type TaskStatus } from '../../contracts/tasks/states.js';
import type { Broker } from '../broker/connect.js';
import { lastBySubject } from '../broker/read.js';
import { parseJson } from '../json.js';

/** A task's last state, and the sequence that the next one must expect. */
export interface LastState {
  readonly status: TaskStatus;
  readonly seq: number;
  /** Of a SPAWN_CANCELLED. */
  readonly reason: string | undefined;
  /** Of a SPAWN_START: how its worker is addressed. */
  readonly process: string | undefined;
}

/** From the leader. A task that has no state yet is queued: its command proves it. @throws {BrokerError} */
export async function lastStateOf(broker: Broker, taskId: string): Promise<LastState> {
  const last = await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(taskId));
  if (last === undefined) return { status: 'queued', seq: 0, reason: undefined, process: undefined };
  const { data } = (parseJson(last.data) ?? {}) as Partial<StoredEvent>;
  const { reason, process } = (data ?? {}) as { reason?: string; process?: string };
  return { status: statusOfSubject(last.subject) ?? 'queued', seq: last.seq, reason, process };
}

/**
 * The same of a task that the read model shows, which keeps an outcome for longer than the broker keeps the events: to have none any more is
 * not to have begun. Nothing follows an outcome, so its `seq` is 0. @throws {BrokerError}
 */
export const stateOf = async (broker: Broker, { task_id: id, status, reason, ended_at }: Task): Promise<LastState> =>
  ended_at === undefined ? lastStateOf(broker, id) : { status, seq: 0, reason, process: undefined };
