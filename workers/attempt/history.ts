import { Type } from 'typebox';
import type { Logger } from 'pino';
import { EVENT_DATA, type EventData, type StoredEvent } from '../../contracts/events/events.js';
import { check } from '../../contracts/wire/check.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfSubject, TASK_STATES, type TaskStatus } from '../../contracts/tasks/states.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn } from '../../src/broker/events.js';
import { lastBySubject, nextBySubject, type Stored } from '../../src/broker/read.js';
import { dataIn, lastState, type LastState, type Predecessor } from '../../src/broker/task-states.js';

/** A stored state of a task. */
export interface TaskStateEvent {
  seq: number;
  status: TaskStatus;
  event: StoredEvent;
}

/** A task's history, as a worker needs it that holds the task's run. */
export type TaskHistory =
  /** `waitsFor`: the reason of the last state, if it is SPAWN_WAITING. */
  | { kind: 'new'; last: Predecessor; waitsFor?: EventData<'SPAWN_WAITING'>['reason'] }
  /** `held`: the delivery of the last attempt, if there was an attempt. */
  | { kind: 'ended'; held: RunDelivery | undefined }
  | EarlierAttempts;

export interface EarlierAttempts {
  readonly kind: 'again';
  /** The delivery of the attempt that has not ended. Undefined: the last attempt was returned to the queue. */
  readonly running: RunDelivery | undefined;
  readonly last: Predecessor;
  readonly attempts: number;
  /** Failed attempts. They count against the policy. */
  readonly failures: number;
  /** Attempts that started and published neither an outcome nor another end. */
  readonly lostStarts: number;
  /** The earliest start of the next attempt, in ms since 1970. */
  readonly retryAt: number | undefined;
  /** The transcript's sequence when the first attempt started. Undefined: the event is unreadable. */
  readonly transcriptSeq: number | undefined;
}

/** The fields of a SPAWN_START that are read. */
const Start = Type.Pick(EVENT_DATA.SPAWN_START, ['attempt', 'run', 'transcript_seq']);

type RunDelivery = EventData<'SPAWN_START'>['run'];

/** The delivery of an attempt whose SPAWN_START is unreadable. Every real delivery is later, so the attempt counts as lost. */
const UNKNOWN_DELIVERY: RunDelivery = { seq: 0, delivery: 0 };

/** A task is given up after this many starts without an outcome: it probably kills its workers. */
export const MAX_LOST_STARTS = 5;

/** A task with this many lost starts gets an exclusive run. Tasks that only ran beside the one that kills workers then succeed. */
const SUSPICIOUS_STARTS = 3;

export const isSuspect = ({ lostStarts }: Pick<EarlierAttempts, 'lostStarts'>): boolean =>
  lostStarts >= SUSPICIOUS_STARTS && lostStarts < MAX_LOST_STARTS;

const BEFORE_START: readonly TaskStatus[] = ['scheduled', 'queued', 'waiting'];

/** Reads a task's history from the leader. @throws {BrokerError} */
export async function readHistory(broker: Broker, taskId: string, log: Logger): Promise<TaskHistory> {
  const last = await lastState(broker, taskId);
  if (BEFORE_START.includes(last.status)) return { kind: 'new', last, ...waitsFor(last) };
  if (isEnded(last.status)) return { kind: 'ended', held: await lastHeld(broker, taskId, log) };
  return historyOf(await readStates(broker, taskId, last.seq, log), last);
}

async function lastHeld(broker: Broker, taskId: string, log: Logger): Promise<RunDelivery | undefined> {
  const start = await lastBySubject(broker, STREAM.events, SUBJECT.taskState(taskId, TASK_STATES.running.token));
  const state = start === undefined ? undefined : stateIn(start, log);
  return state === undefined ? undefined : startData(state.event).run;
}

/** The stored states of a task up to the sequence `upTo`, oldest first. Skips unreadable states. @throws {BrokerError} */
export async function readStates(broker: Broker, taskId: string, upTo: number, log: Logger): Promise<TaskStateEvent[]> {
  const filter = SUBJECT.taskStates(taskId);
  const states: TaskStateEvent[] = [];
  for (let seq = 1; seq <= upTo;) {
    const stored = await nextBySubject(broker, STREAM.events, filter, seq);
    if (stored === undefined) break;
    const state = stateIn(stored, log);
    if (state !== undefined) states.push(state);
    seq = stored.seq + 1;
  }
  return states;
}

/** Derives the history from the states, oldest first. Pure. @param last the last state. Its event may be unreadable. */
export function historyOf(
  states: readonly TaskStateEvent[],
  last: Predecessor | undefined = states.at(-1),
): TaskHistory {
  const starts = states.filter(({ event }) => event.type === 'SPAWN_START');
  const [first] = starts;
  const latest = starts.at(-1);
  if (last?.status !== undefined && isEnded(last.status))
    return { kind: 'ended', held: latest === undefined ? undefined : startData(latest.event).run };
  const hasBegun = first !== undefined || last?.status === 'running' || last?.status === 'retrying';
  if (last === undefined || !hasBegun) return { kind: 'new', last: last ?? { status: 'queued', seq: 0 } };
  const isKnown = latest?.seq === last.seq;
  const retries = states
    .filter(({ event }) => event.type === 'SPAWN_RETRY')
    .map(({ event }) => event.data as EventData<'SPAWN_RETRY'>);
  return {
    kind: 'again',
    running: last.status !== 'running' ? undefined : isKnown ? startData(latest.event).run : UNKNOWN_DELIVERY,
    last,
    attempts:
      Math.max(0, ...starts.map(({ event }) => startData(event).attempt)) +
      (last.status === 'running' && !isKnown ? 1 : 0),
    failures: retries.filter(({ counted }) => counted === true).length,
    lostStarts:
      retries.filter(({ reason, counted }) => reason === 'worker_lost' && counted !== true).length +
      (last.status === 'running' ? 1 : 0),
    retryAt: last.status === 'retrying' ? timeOf(retries.at(-1)?.retry_at) : undefined,
    transcriptSeq: first === undefined ? undefined : startData(first.event).transcript_seq,
  };
}

/**
 * Whether a delivery is older than the running attempt's own, and so does not mean that the attempt is lost. Old deliveries come from
 * the socket of a process that was suspended, and from a broker that was killed and lost its latest deliveries (the attempt's next
 * renewal restores them). Without this check a living attempt would be taken over.
 */
export const isStale = (delivery: RunDelivery, running: RunDelivery): boolean =>
  delivery.seq < running.seq || (delivery.seq === running.seq && delivery.delivery <= running.delivery);

const timeOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Date.parse(text));

const waitsFor = (last: LastState): { waitsFor?: EventData<'SPAWN_WAITING'>['reason'] } => {
  const { reason } = dataIn(last, 'waiting');
  return reason === undefined ? {} : { waitsFor: reason };
};

const startData = (event: StoredEvent): EventData<'SPAWN_START'> => event.data as EventData<'SPAWN_START'>;

function stateIn(stored: Stored, log: Logger): TaskStateEvent | undefined {
  const event = eventIn(stored.data);
  if (event !== undefined && (event.type !== 'SPAWN_START' || check(Start, event.data).ok))
    return { seq: stored.seq, status: statusOfSubject(stored.subject) ?? 'queued', event };
  log.error({ seq: stored.seq, subject: stored.subject }, "skipping an invalid event of a task's state");
  return undefined;
}
