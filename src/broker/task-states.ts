import type { EventData, StoredEvent } from '../../contracts/events/events.js';
import { mayFollow, statusOfSubject, TASK_STATES, type TaskStatus } from '../../contracts/tasks/states.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Clock } from '../clock.js';
import { parseJson } from '../json.js';
import { publishUntilKnown } from './until-known.js';
import type { Broker } from './connect.js';
import { eventPublication, newEvent } from './events.js';
import { publishExpecting, type ExpectingPublication } from './publish.js';
import { lastBySubject } from './read.js';
import { defined } from '../defined.js';

/** The fields that name a task in each of its events. */
export interface TaskIdentity {
  readonly task_id: string;
  readonly session_id: string;
  readonly session_name?: string;
  readonly agent_id?: string;
  readonly owner: string;
}

export const identityOf = ({ task_id, session_id, session_name, agent_id, owner }: TaskIdentity): TaskIdentity =>
  defined({
    task_id,
    session_id,
    session_name,
    agent_id,
    owner,
  });

/** Statuses with a state event. `scheduled` is reserved and never stored. */
export type StoredStatus = Exclude<TaskStatus, 'scheduled'>;

/** The data of the event that puts a task into the status `S`. */
export type StateData<S extends StoredStatus> = EventData<(typeof TASK_STATES)[S]['event']>;

/** The state that a transition starts from. */
export interface Predecessor {
  /** Undefined: the task is new. */
  readonly status: TaskStatus | undefined;
  /** The sequence of its event in KSI_EVENTS; 0: no event is stored. */
  readonly seq: number;
}

export const NEW_TASK: Predecessor = { status: undefined, seq: 0 };

/** A task's last state. */
export interface LastState extends Predecessor {
  readonly status: TaskStatus;
  /** The event's id; empty when no event is stored. */
  readonly id: string;
  readonly data: unknown;
}

/** Reads a task's state from the leader. A task without a state event counts as queued. @throws {BrokerError} */
export async function lastState(broker: Broker, taskId: string): Promise<LastState> {
  const last = await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(taskId));
  if (last === undefined) return { status: 'queued', seq: 0, id: '', data: undefined };
  const { data } = (parseJson(last.data) ?? {}) as Partial<StoredEvent>;
  return { status: statusOfSubject(last.subject) ?? 'queued', seq: last.seq, id: last.header(HEADER.msgId), data };
}

/** The data of a task's state if its status is `status`, else empty. Fields may be missing if the event is malformed. */
export const dataIn = <S extends StoredStatus>(
  state: Pick<LastState, 'status' | 'data'>,
  status: S,
): Partial<StateData<S>> => (state.status === status ? (state.data ?? {}) : {});

/** The event of a transition. Its publication fails if another writer changed the state first. */
export function stateEvent<S extends StoredStatus>(
  clock: Pick<Clock, 'now'>,
  from: Predecessor,
  to: S,
  data: StateData<S>,
  traceparent?: string,
): { readonly event: StoredEvent; readonly publication: ExpectingPublication } {
  const { task_id: taskId } = data as TaskIdentity;
  if (!mayFollow(from.status, to)) throw new Error(`task ${taskId} cannot go from ${from.status ?? 'new'} to ${to}`);
  const { event: type, token } = TASK_STATES[to];
  const event = newEvent(clock, type, data);
  const expect = { filter: SUBJECT.taskStates(taskId), seq: from.seq };
  return { event, publication: eventPublication(event, SUBJECT.taskState(taskId, token), expect, traceparent) };
}

export interface TransitionOptions {
  readonly traceparent?: string;
  /** Retries through outages until the result is known, or until this aborts. Default: one try. */
  readonly signal?: AbortSignal;
}

/**
 * Moves a task from one state to another.
 * @returns the new state; undefined: another writer changed the state first.
 * @throws {BrokerError} and the signal's reason.
 */
export async function transition<S extends StoredStatus>(
  broker: Broker,
  from: Predecessor,
  to: S,
  data: StateData<S>,
  { traceparent, signal }: TransitionOptions = {},
): Promise<LastState | undefined> {
  const { event, publication } = stateEvent(broker.clock, from, to, data, traceparent);
  const seq =
    signal === undefined
      ? await publishExpecting(broker, publication)
      : await publishUntilKnown(broker, STREAM.events, publication, signal);
  return seq === undefined ? undefined : { status: to, seq, id: event.id, data };
}
