import { HEADER, SCHEDULE, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded } from '../../contracts/tasks/states.js';
import type { Broker } from './connect.js';
import { contend } from './contention.js';
import { publishExpecting } from './publish.js';
import { bySequence, deleteMessage, lastBySubject, subjectsOf, type Stored } from './read.js';
import { deleteSchedule, putSchedule } from './schedules.js';
import { asRun, queueOf, releaseSession, type StandingTask } from './session-queue.js';
import { dataIn, lastState } from './task-states.js';
import { sessionsWaitingForPlaces, waitsForPlace } from './workspace-records.js';

/**
 * Runs that wait long for their next attempt: moved, in their session's place, to a lane that no consumer serves, with a schedule that
 * brings them back. Of two run messages of a task the later one counts, always: the earlier is only deleted. So each
 * step may be repeated by anybody, after a crash between any two.
 */

export interface TaskRef {
  readonly taskId: string;
  readonly sessionId: string;
}

/** The task whose parked run a schedule, or what is due, is about; undefined when it is about something else. */
export function parkedTaskOf(subject: string): TaskRef | undefined {
  const [, sessionId, taskId] = subject.slice(subject.lastIndexOf('.') + 1).split('_');
  if (sessionId === undefined || taskId === undefined) return undefined;
  return subject.endsWith(`.${SCHEDULE.parked(sessionId, taskId)}`) ? { sessionId, taskId } : undefined;
}

const scheduleOf = ({ sessionId, taskId }: TaskRef): string => SCHEDULE.parked(sessionId, taskId);

/** Whether there is a later run message of the same task, so that this one is only to be acknowledged. @throws {BrokerError} */
export async function isSuperseded(broker: Broker, { taskId, sessionId }: TaskRef, seq: number): Promise<boolean> {
  const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
  return run !== undefined && run.seq > seq && run.header(HEADER.taskId) === taskId;
}

/**
 * Puts a run that must wait into the parking lane: by its task's last state until a time, with a schedule, or for its workspace. The caller
 * acknowledges the delivered one afterwards.
 * @param root of the workspace that it waits for; `letIn` of its places wakes it.
 * @returns false when the run is not its session's any more: somebody else has seen to it.
 * @throws {BrokerError}
 */
export async function park(
  broker: Broker,
  task: TaskRef,
  run: StandingTask & { seq: number },
  root?: string,
): Promise<boolean> {
  const filter = SUBJECT.session(task.sessionId);
  const subject = SUBJECT.parked(queueOf(run), task.sessionId);
  const isIts = await contend(async () => {
    // In this order: what comes later makes the expectation on `last` fail.
    const last = await lastBySubject(broker, STREAM.commands, filter);
    const current = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(task.sessionId));
    if (last === undefined || current === undefined || current.header(HEADER.taskId) !== task.taskId) return false;
    if (current.seq > run.seq) return true;
    // After a lost acknowledgement this is refused too; the next look finds the parked run.
    const parked = asRun(run, subject, { filter, seq: last.seq });
    const waits = root === undefined ? {} : { [HEADER.workspaceRoot]: root };
    const stored = await publishExpecting(broker, { ...parked, headers: { ...parked.headers, ...waits } });
    return stored === undefined ? undefined : true;
  });
  // A cancellation that still saw the old run is found here, a later one finds the parked run. So is a workspace that has become free.
  if (isIts) await keepParked(broker, task);
  return isIts;
}

export type Woken =
  /** It has no parked run, or none that counts, now. */
  | { kind: 'gone' }
  /** Its task has an outcome: it is off the queue. */
  | { kind: 'released' }
  /** It is a run again. */
  | { kind: 'awake' }
  /** It waits for its workspace. */
  | { kind: 'held' }
  | { kind: 'early'; dueAt: number };

/** Wakes the parked run of a task, or sees to it that it will be. Safe to repeat. @throws {BrokerError} */
export async function keepParked(broker: Broker, task: TaskRef): Promise<Woken> {
  const woken = await wakeParked(broker, task);
  if (woken.kind === 'early') await putSchedule(broker, scheduleOf(task), woken.dueAt);
  return woken;
}

/**
 * Makes the parked run of a task a run in the lane `next` if its next attempt may start now. Safe to repeat.
 * @throws {BrokerError}
 */
export async function wakeParked(broker: Broker, task: TaskRef, now = broker.clock.now()): Promise<Woken> {
  const filter = SUBJECT.session(task.sessionId);
  return contend<Woken>(async () => {
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
      // It was woken by somebody who did not come to remove it.
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
 * When the next attempt of a task may start, in ms since 1970; `held` while it waits for its workspace; or `running` while an attempt that
 * has an earlier run message goes on (its worker stood still between its last look and parking the run): how that ends decides.
 */
async function waitOf(broker: Broker, taskId: string, parked: Stored): Promise<number | 'running' | 'held' | 'ended'> {
  const state = await lastState(broker, taskId);
  if (isEnded(state.status)) return 'ended';
  const root = parked.header(HEADER.workspaceRoot);
  if (root !== '' && state.status !== 'running') return (await waitsForPlace(broker, root, taskId)) ? 'held' : 0;
  // A malformed event must not hold up its session for ever: the run is woken, and its attempt decides.
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
 * Repairs what crashes between two steps left: parked runs that nothing would wake, and those of ended tasks, which would hold up their
 * sessions until they are due.
 * @param hasEnded by what this process knows.
 * @returns how many runs it woke or took off the queue. @throws {BrokerError}
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
    const { kind } = await keepParked(broker, { taskId, sessionId });
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
