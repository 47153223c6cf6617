import { HEADER, SCHEDULE, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded } from '../../contracts/tasks/states.js';
import type { Broker } from './connect.js';
import { contend } from './contention.js';
import { publishExpecting } from './publish.js';
import { bySequence, deleteMessage, lastBySubject, subjectsOf, type Stored } from './read.js';
import { deleteSchedule, putSchedule } from './schedules.js';
import { asRun, queueOf, releaseSession, type StoredQueueEntry } from './session-queue.js';
import { dataIn, lastState } from './task-states.js';
import { sessionsWaitingForPlaces, waitsForPlace } from './workspace-records.js';

/**
 * Parked runs wait long for their next attempt. They keep their session's turn, on a subject that no consumer serves, and a schedule wakes
 * them. If a task has two run messages, the later one is valid and the earlier one is only deleted. So any process can repeat each step
 * after a crash.
 */

export interface TaskRef {
  readonly taskId: string;
  readonly sessionId: string;
}

/** The task of a wake-up schedule, by the subject of the schedule or of its due message. Undefined for other schedules. */
export function parkedTaskOf(subject: string): TaskRef | undefined {
  const [, sessionId, taskId] = subject.slice(subject.lastIndexOf('.') + 1).split('_');
  if (sessionId === undefined || taskId === undefined) return undefined;
  return subject.endsWith(`.${SCHEDULE.parked(sessionId, taskId)}`) ? { sessionId, taskId } : undefined;
}

const scheduleOf = ({ sessionId, taskId }: TaskRef): string => SCHEDULE.parked(sessionId, taskId);

/** Whether the task has a later run message, so that this one only needs an acknowledgement. @throws {BrokerError} */
export async function isSuperseded(broker: Broker, { taskId, sessionId }: TaskRef, seq: number): Promise<boolean> {
  const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
  return run !== undefined && run.seq > seq && run.header(HEADER.taskId) === taskId;
}

/**
 * Parks a run: until the `retry_at` of its task's last state, or until its workspace has a free place. The caller acknowledges the delivered
 * run message afterwards.
 * @param root the root of the workspace that it waits for. `admit` wakes the run.
 * @returns false if the run is no longer its session's: another process has handled it.
 * @throws {BrokerError}
 */
export async function park(
  broker: Broker,
  task: TaskRef,
  run: StoredQueueEntry & { seq: number },
  root?: string,
): Promise<boolean> {
  const filter = SUBJECT.session(task.sessionId);
  const subject = SUBJECT.parked(queueOf(run), task.sessionId);
  const isParked = await contend(async () => {
    // Read `last` first: anything stored later makes the compare-and-set fail.
    const last = await lastBySubject(broker, STREAM.commands, filter);
    const current = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(task.sessionId));
    if (last === undefined || current === undefined || current.header(HEADER.taskId) !== task.taskId) return false;
    if (current.seq > run.seq) return true;
    // After a lost acknowledgement the repeat is refused, and the next round finds the parked run.
    const parked = asRun(run, subject, { filter, seq: last.seq });
    const waits = root === undefined ? {} : { [HEADER.workspaceRoot]: root };
    const stored = await publishExpecting(broker, { ...parked, headers: { ...parked.headers, ...waits } });
    return stored === undefined ? undefined : true;
  });
  // A cancellation or a free place may have come before the run was parked, and found nothing to wake.
  if (isParked) await ensureWakeup(broker, task);
  return isParked;
}

export type WakeupResult =
  /** The task has no valid parked run. */
  | { kind: 'gone' }
  /** The task has an outcome, and its run was deleted. */
  | { kind: 'released' }
  /** The parked run became a run. */
  | { kind: 'awake' }
  /** The task waits for its workspace. */
  | { kind: 'held' }
  | { kind: 'early'; dueAt: number };

/** Wakes the parked run of a task, or schedules its wake-up. Idempotent. @throws {BrokerError} */
export async function ensureWakeup(broker: Broker, task: TaskRef): Promise<WakeupResult> {
  const woken = await wakeParked(broker, task);
  if (woken.kind === 'early') await putSchedule(broker, scheduleOf(task), woken.dueAt);
  return woken;
}

/**
 * Makes the parked run of a task a run with priority `next` if its next attempt may start now. Idempotent.
 * @throws {BrokerError}
 */
export async function wakeParked(broker: Broker, task: TaskRef, now = broker.clock.now()): Promise<WakeupResult> {
  const filter = SUBJECT.session(task.sessionId);
  return contend<WakeupResult>(async () => {
    const last = await lastBySubject(broker, STREAM.commands, filter);
    const parked = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionParked(task.sessionId));
    if (last === undefined || parked === undefined || parked.header(HEADER.taskId) !== task.taskId)
      return { kind: 'gone' };
    const state = await waitOf(broker, task.taskId, parked);
    if (state === 'ended') {
      await releaseSession(broker, task.sessionId, task.taskId, () => removeParked(broker, task, parked.seq));
      return { kind: 'released' };
    }
    const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(task.sessionId));
    if (run !== undefined && run.seq > parked.seq) {
      // Another process woke it and failed before it deleted the parked run.
      if (run.header(HEADER.taskId) === task.taskId) await deleteMessage(broker, STREAM.commands, parked.seq);
      return { kind: 'gone' };
    }
    if (state === 'running') return { kind: 'gone' };
    if (state === 'held') return { kind: 'held' };
    if (state > now) return { kind: 'early', dueAt: state };
    const subject = SUBJECT.run(queueOf(parked), 'next', task.sessionId);
    const stored = await publishExpecting(broker, asRun(parked, subject, { filter, seq: last.seq }));
    if (stored === undefined) return undefined;
    await removeParked(broker, task, parked.seq);
    return { kind: 'awake' };
  });
}

/**
 * When the next attempt of a task may start, in ms since 1970; `held` while it waits for its workspace; `running` while an attempt from an
 * earlier run message continues, because its worker was suspended while it parked the run. That attempt decides what follows.
 */
async function waitOf(broker: Broker, taskId: string, parked: Stored): Promise<number | 'running' | 'held' | 'ended'> {
  const state = await lastState(broker, taskId);
  if (isEnded(state.status)) return 'ended';
  const root = parked.header(HEADER.workspaceRoot);
  if (root !== '' && state.status !== 'running') return (await waitsForPlace(broker, root, taskId)) ? 'held' : 0;
  // A malformed event must not block its session forever, so the run is woken, and its attempt decides.
  if (state.status === 'retrying') return Date.parse(dataIn(state, 'retrying').retry_at ?? '') || 0;
  const { run } = dataIn(state, 'running');
  return run !== undefined && run.seq < parked.seq && (await isThere(broker, run.seq)) ? 'running' : 0;
}

const isThere = async (broker: Broker, seq: number): Promise<boolean> =>
  (await bySequence(broker, STREAM.commands, seq)) !== undefined;

async function removeParked(broker: Broker, task: TaskRef, seq: number): Promise<void> {
  await deleteMessage(broker, STREAM.commands, seq);
  await deleteSchedule(broker, scheduleOf(task));
}

/**
 * Repairs parked runs after crashes: runs without a schedule, and runs of ended tasks, which would block their sessions until they are due.
 * @param hasEnded whether this process knows that a task has ended.
 * @returns how many runs it woke or deleted. @throws {BrokerError}
 */
export async function sweepParked(
  broker: Broker,
  hasEnded: (taskId: string) => boolean,
  signal: AbortSignal,
): Promise<number> {
  const parked = await subjectsOf(broker, STREAM.commands, SUBJECT.allParked);
  const scheduled = (await subjectsOf(broker, STREAM.schedules, SUBJECT.schedulesAll))
    .map(parkedTaskOf)
    .filter((task) => task !== undefined);
  const waiting = parked.length === 0 ? [] : await sessionsWaitingForPlaces(broker);
  const sessions = new Set([...scheduled.map(({ sessionId }) => sessionId), ...waiting]);
  let repaired = 0;
  for (const subject of parked) {
    if (signal.aborted) break;
    const sessionId = subject.slice(subject.lastIndexOf('.') + 1);
    if (sessions.has(sessionId)) continue;
    const run = await lastBySubject(broker, STREAM.commands, subject);
    const taskId = run?.header(HEADER.taskId) ?? '';
    const { kind } = await ensureWakeup(broker, { taskId, sessionId });
    if (kind !== 'gone' && kind !== 'held') repaired++;
  }
  for (const task of scheduled) {
    if (signal.aborted) break;
    if (!hasEnded(task.taskId)) continue;
    if ((await wakeParked(broker, task)).kind !== 'gone') repaired++;
    await deleteSchedule(broker, scheduleOf(task));
  }
  return repaired;
}
