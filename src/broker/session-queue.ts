import { HEADER, PARKED, SCHEDULE, STREAM, SUBJECT, type Lane } from '../../contracts/wire/names.js';
import { isEnded } from '../../contracts/tasks/states.js';
import { sleep } from '../clock.js';
import type { Broker } from './connect.js';
import { keepCommand } from './ended-commands.js';
import { isBrokerError, type BrokerError } from './errors.js';
import { contend } from './contention.js';
import { publishExpecting, type Expectation, type ExpectingPublication, type Publication } from './publish.js';
import { deleteMessage, lastBySubject, nextBySubject, subjectsOf, type Stored } from './read.js';
import { deleteSchedule } from './schedules.js';
import { lastState } from './task-states.js';

/**
 * One run per session, in the order asked for: direct runs, waiting entries and promotions, all under the one
 * compare-and-set filter of the session. The procedures: docs/design/broker-protocol.md#one-run-per-session.
 */

/** How often a compare-and-set is tried again before somebody else is left to do it (the sweeper at the latest). */
const MAX_TRIES = 50;
/** Until an acknowledged run is gone, in a cluster: about 1 ms. The sweeper sees to what takes longer. */
const MAX_LOOKS = 20;
const LOOK_AGAIN_MS = 2;

export interface TaskMessage {
  taskId: string;
  sessionId: string;
  queue: string;
  payload: Uint8Array | string;
  headers: Readonly<Record<string, string>>;
}

/** The direct run of a task: refused (`conflict`) when anything of its session stands or waits. */
export const directRun = (task: TaskMessage, lane: Lane): ExpectingPublication => ({
  subject: SUBJECT.run(task.queue, lane, task.sessionId),
  payload: task.payload,
  msgId: task.taskId,
  headers: { ...task.headers, [HEADER.taskId]: task.taskId },
  expect: { filter: SUBJECT.session(task.sessionId), seq: 0 },
});

/** Where a task stands in its session: as its run, or waiting. Undefined: nowhere, or its run has ended. @throws {BrokerError} */
export async function placeOf(
  broker: Broker,
  { taskId, sessionId }: Pick<TaskMessage, 'taskId' | 'sessionId'>,
): Promise<{ kind: 'run' | 'waiting'; seq: number } | undefined> {
  // The entry first: one promoted in between is then found as the run.
  const waiting = await lastBySubject(broker, STREAM.commands, SUBJECT.waiting('*', taskId, sessionId));
  const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
  if (run !== undefined && run.header(HEADER.taskId) === taskId) return { kind: 'run', seq: run.seq };
  return waiting === undefined ? undefined : { kind: 'waiting', seq: waiting.seq };
}

/**
 * Stores a task behind all that its session holds.
 * @param again another process may have stored the task: then its place is kept.
 * @throws {BrokerError}
 */
export async function storeWaiting(broker: Broker, task: TaskMessage, again = false): Promise<void> {
  const filter = SUBJECT.session(task.sessionId);
  let mayStand = again;
  await contend<number | true>(async () => {
    const last = await lastBySubject(broker, STREAM.commands, filter);
    if (mayStand && (await placeOf(broker, task)) !== undefined) return true;
    // The repeat of a write whose acknowledgement was lost is refused.
    mayStand = true;
    return publishExpecting(broker, {
      subject: SUBJECT.waiting(task.queue, task.taskId, task.sessionId),
      payload: task.payload,
      headers: { ...task.headers, [HEADER.taskId]: task.taskId },
      expect: { filter, seq: last?.seq ?? 0 },
    });
  });
}

export interface Promoted {
  taskId: string;
  /** The waiting entry, to be deleted once the run that made room is acknowledged. */
  waitingSeq: number;
}

/**
 * Makes the oldest waiting task of a session its run, if the session is free for it.
 * @param endedTaskId the task whose run, ended but not acknowledged yet, makes room; without it there must be no run.
 * @returns what was promoted; undefined when nothing waits or the session is busy.
 * @throws {BrokerError}
 */
export async function promote(broker: Broker, sessionId: string, endedTaskId?: string): Promise<Promoted | undefined> {
  const filter = SUBJECT.session(sessionId);
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    // In this order: what comes later makes the expectation on `last` fail.
    const last = await lastBySubject(broker, STREAM.commands, filter);
    if (last === undefined) return undefined;
    const oldest = await nextBySubject(broker, STREAM.commands, SUBJECT.sessionWaiting(sessionId));
    if (oldest === undefined) return undefined;
    const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    if (run !== undefined && run.header(HEADER.taskId) === oldest.header(HEADER.taskId)) {
      // Promoted already, by somebody who didn't come to delete the entry.
      await deleteMessage(broker, STREAM.commands, oldest.seq);
      continue;
    }
    if (run !== undefined && (run.header(HEADER.taskId) !== endedTaskId || !(await hasEnded(broker, endedTaskId))))
      return undefined;
    const taskId = oldest.header(HEADER.taskId);
    if (await hasEnded(broker, taskId)) {
      // Whoever cancelled it may have died before, or come to look for it after this.
      await keepCommand(broker, taskId, oldest.data);
      await deleteMessage(broker, STREAM.commands, oldest.seq);
      continue;
    }
    const subject = SUBJECT.run(queueOf(oldest), 'next', sessionId);
    const stored = await publishExpecting(broker, asRun(oldest, subject, { filter, seq: last.seq }));
    if (stored !== undefined) return { taskId, waitingSeq: oldest.seq };
  }
  return undefined;
}

/** The message that stands for a task, run again under another subject of its session. */
export const asRun = (
  stored: StandingTask,
  subject: string,
  expect: Expectation,
): Publication & { readonly expect: Expectation } => {
  const headers = Object.fromEntries(
    FORWARDED.map((name) => [name, stored.header(name)]).filter(([, value]) => value !== ''),
  );
  return { subject, payload: stored.data, headers, expect };
};
const FORWARDED = [HEADER.taskId, HEADER.depth, HEADER.type, HEADER.traceparent];

export type StandingTask = Pick<Stored, 'subject' | 'data' | 'header'>;

/** The queue that a run or a waiting entry stands in. */
export const queueOf = ({ subject }: Pick<Stored, 'subject'>): string => subject.split('.')[3] ?? '';

async function hasEnded(broker: Broker, taskId: string | undefined): Promise<boolean> {
  return taskId !== undefined && isEnded((await lastState(broker, taskId)).status);
}

/**
 * After the outcome of `taskId` is stored: keeps its command for a retry, gives the session's place to the next in line and takes the run off the queue.
 * Safe to repeat after a crash between any two steps.
 * @param ack acknowledges the run's message, and resolves when the broker has confirmed it.
 */
export async function releaseSession(
  broker: Broker,
  sessionId: string,
  taskId: string,
  ack: () => Promise<void>,
): Promise<void> {
  const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
  const mine = run !== undefined && run.header(HEADER.taskId) === taskId ? run : undefined;
  if (mine !== undefined) await keepCommand(broker, taskId, mine.data);
  const promoted = await promote(broker, sessionId, taskId);
  if (mine !== undefined && mine.subject.split('.')[4] === PARKED) {
    await deleteMessage(broker, STREAM.commands, mine.seq);
    await deleteSchedule(broker, SCHEDULE.parked(sessionId, taskId));
  }
  await ack();
  const late = promoted ?? (await lookAgain(broker, sessionId, taskId));
  if (late !== undefined) await deleteMessage(broker, STREAM.commands, late.waitingSeq);
}

/**
 * For whoever came to wait meanwhile, saw the run, and left the promotion to us. A cluster may show a run for a moment after it has
 * confirmed the acknowledgement: then others still see it too, so this looks on until it is gone.
 */
async function lookAgain(broker: Broker, sessionId: string, taskId: string): Promise<Promoted | undefined> {
  for (let tries = 1; tries <= MAX_LOOKS; tries++) {
    const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    const late = await promote(broker, sessionId, taskId);
    if (late !== undefined || run === undefined || run.header(HEADER.taskId) !== taskId) return late;
    await sleep(broker.clock, tries * LOOK_AGAIN_MS);
  }
  return undefined;
}

/**
 * Repairs what a crash between two steps left: promotes in each session that has waiting entries and no run.
 * @throws {BrokerError} of the first session where it could not be done, after all others.
 */
export async function sweepSessions(broker: Broker, signal: AbortSignal): Promise<number> {
  let promotions = 0;
  let failed: BrokerError | undefined;
  for (const sessionId of await sessionsWaiting(broker)) {
    if (signal.aborted) break;
    try {
      const promoted = await promote(broker, sessionId);
      if (promoted === undefined) continue;
      promotions++;
      await deleteMessage(broker, STREAM.commands, promoted.waitingSeq);
    } catch (error) {
      if (!isBrokerError(error) || error.kind === 'unavailable') throw error;
      failed ??= error;
    }
  }
  if (failed !== undefined) throw failed;
  return promotions;
}

async function sessionsWaiting(broker: Broker): Promise<Set<string>> {
  const subjects = await subjectsOf(broker, STREAM.commands, SUBJECT.allWaiting);
  return new Set(subjects.map((subject) => subject.slice(subject.lastIndexOf('.') + 1)));
}
