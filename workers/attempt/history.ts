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

/** A state of a task as it is stored. */
export interface TaskStateEvent {
  seq: number;
  status: TaskStatus;
  event: StoredEvent;
}

/** What the stored states of a task say to a worker that has its run. */
export type TaskPosition =
  /** `waitsFor`: why the task waits, by its last state. */
  | { kind: 'new'; last: Predecessor; waitsFor?: EventData<'SPAWN_WAITING'>['reason'] }
  /** `held`: the delivery that its last attempt had, if there was one. */
  | { kind: 'ended'; held: RunDelivery | undefined }
  | RanBefore;

export interface RanBefore {
  readonly kind: 'again';
  /** The delivery of the attempt that has no end; undefined: the last attempt was given back. */
  readonly running: RunDelivery | undefined;
  readonly last: Predecessor;
  readonly attempts: number;
  /** Those that failed: they count against the policy. */
  readonly failures: number;
  /** Those that have neither an outcome nor said why they ended. */
  readonly lostStarts: number;
  /** The next attempt is not to start before, in ms since 1970. */
  readonly retryAt: number | undefined;
  /** Where the first attempt's transcript began; undefined: its event is unreadable. */
  readonly transcriptSeq: number | undefined;
}

/** What is read of a SPAWN_START. */
const Start = Type.Pick(EVENT_DATA.SPAWN_START, ['attempt', 'run', 'transcript_seq']);

type RunDelivery = EventData<'SPAWN_START'>['run'];

/** Of an attempt whose SPAWN_START is unreadable: every delivery is a later one, so the attempt counts as lost. */
const UNKNOWN_DELIVERY: RunDelivery = { seq: 0, delivery: 0 };

/** Starts without an outcome after which a task is given up: it seems to take its workers down. */
export const MAX_LOST_STARTS = 5;

/** From so many on it is to have a worker for itself: those that were only beside the one that takes workers down then get through. */
const SUSPICIOUS_STARTS = 3;

export const isSuspect = ({ lostStarts }: Pick<RanBefore, 'lostStarts'>): boolean =>
  lostStarts >= SUSPICIOUS_STARTS && lostStarts < MAX_LOST_STARTS;

const BEFORE_START: readonly TaskStatus[] = ['scheduled', 'queued', 'waiting'];

/** Reads from the leader what has become of a task so far. @throws {BrokerError} */
export async function readPosition(broker: Broker, taskId: string, log: Logger): Promise<TaskPosition> {
  const last = await lastState(broker, taskId);
  if (BEFORE_START.includes(last.status)) return { kind: 'new', last, ...waitsFor(last) };
  if (isEnded(last.status)) return { kind: 'ended', held: await lastHeld(broker, taskId, log) };
  return positionOf(await readStates(broker, taskId, last.seq, log), last);
}

async function lastHeld(broker: Broker, taskId: string, log: Logger): Promise<RunDelivery | undefined> {
  const start = await lastBySubject(broker, STREAM.events, SUBJECT.taskState(taskId, TASK_STATES.running.token));
  const state = start === undefined ? undefined : stateIn(start, log);
  return state === undefined ? undefined : startData(state.event).run;
}

/** The stored states of a task, oldest first, up to the sequence `upTo`. Skips unreadable ones. @throws {BrokerError} */
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

/** The same from the states themselves, oldest first. Pure. @param last the last state, of which the event may be unreadable. */
export function positionOf(
  states: readonly TaskStateEvent[],
  last: Predecessor | undefined = states.at(-1),
): TaskPosition {
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
 * Whether a delivery is no sign that the running attempt is lost: it holds a later one. So it is with what lay in the
 * socket of a process that stood still, and after a kill of the broker, which may have forgotten its latest deliveries
 * (the attempt's next renewal reminds it). Else a living attempt would be taken over.
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
