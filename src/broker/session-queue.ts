import { HEADER, PARKED, SCHEDULE, STREAM, SUBJECT, type RunPriority } from '../../contracts/wire/names.js';
import { isEnded } from '../../contracts/tasks/states.js';
import { sleep } from '../clock.js';
import type { Broker } from './connect.js';
import { storeEndedCommand } from './ended-commands.js';
import { isBrokerError, type BrokerError } from './errors.js';
import { contend } from './contention.js';
import { publishExpecting, type Expectation, type ExpectingPublication, type Publication } from './publish.js';
import { deleteMessage, hasAny, lastBySubject, nextBySubject, subjectsOf, type Stored } from './read.js';
import { deleteSchedule } from './schedules.js';
import { lastState } from './task-states.js';

/**
 * Keeps one run per session, in order of arrival. Direct runs, waiting entries and promotions use one compare-and-set filter per session.
 * The procedures are in docs/design/broker-protocol.md#one-run-per-session.
 */

/** Tries of a compare-and-set. After that, another process does it, at the latest the sweeper. */
const MAX_TRIES = 50;
/** In a cluster an acknowledged run disappears after about 1 ms. If it takes longer, the sweeper promotes. */
const MAX_LOOKS = 20;
const LOOK_AGAIN_MS = 2;

export interface QueueEntry {
  taskId: string;
  sessionId: string;
  queue: string;
  payload: Uint8Array | string;
  headers: Readonly<Record<string, string>>;
}

/** The direct run of a task. The broker refuses it with `conflict` if the session has a run or a waiting entry. */
export const directRun = (task: QueueEntry, runPriority: RunPriority): ExpectingPublication => ({
  subject: SUBJECT.run(task.queue, runPriority, task.sessionId),
  payload: task.payload,
  msgId: task.taskId,
  headers: { ...task.headers, [HEADER.taskId]: task.taskId },
  expect: { filter: SUBJECT.session(task.sessionId), seq: 0 },
});

/** The queue entry of a task. Undefined: it has none, or its run has ended. @throws {BrokerError} */
export async function findEntry(
  broker: Broker,
  { taskId, sessionId }: Pick<QueueEntry, 'taskId' | 'sessionId'>,
): Promise<{ kind: 'run' | 'waiting'; seq: number } | undefined> {
  // Read the waiting entry first: if it is promoted in between, the run is found.
  const waiting = await lastBySubject(broker, STREAM.commands, SUBJECT.waiting('*', taskId, sessionId));
  const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
  if (run !== undefined && run.header(HEADER.taskId) === taskId) return { kind: 'run', seq: run.seq };
  return waiting === undefined ? undefined : { kind: 'waiting', seq: waiting.seq };
}

/**
 * Stores a waiting entry after all entries of its session.
 * @param again another process may have stored the task before: keep that entry.
 * @throws {BrokerError}
 */
export async function storeWaiting(broker: Broker, task: QueueEntry, again = false): Promise<void> {
  const filter = SUBJECT.session(task.sessionId);
  let mayExist = again;
  await contend<number | true>(async () => {
    const last = await lastBySubject(broker, STREAM.commands, filter);
    if (mayExist && (await findEntry(broker, task)) !== undefined) return true;
    // If the acknowledgement is lost, the repeat is refused, and the entry exists.
    mayExist = true;
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
  /** The waiting entry. Delete it after the ended run was acknowledged. */
  waitingSeq: number;
}

/**
 * Promotes the oldest waiting entry of a session if the session is free.
 * @param endedTaskId the ended task whose run is not acknowledged yet. Without it, the session is free if it has no run.
 * @returns undefined if nothing waits or the session is busy.
 * @throws {BrokerError}
 */
export async function promote(broker: Broker, sessionId: string, endedTaskId?: string): Promise<Promoted | undefined> {
  const filter = SUBJECT.session(sessionId);
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    // Read `last` first: anything stored later makes the compare-and-set fail.
    const last = await lastBySubject(broker, STREAM.commands, filter);
    if (last === undefined) return undefined;
    const oldest = await nextBySubject(broker, STREAM.commands, SUBJECT.sessionWaiting(sessionId));
    if (oldest === undefined) return undefined;
    const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    if (run !== undefined && run.header(HEADER.taskId) === oldest.header(HEADER.taskId)) {
      // Another process promoted it and failed before it deleted the entry.
      await deleteMessage(broker, STREAM.commands, oldest.seq);
      continue;
    }
    if (run !== undefined && (run.header(HEADER.taskId) !== endedTaskId || !(await hasEnded(broker, endedTaskId))))
      return undefined;
    const taskId = oldest.header(HEADER.taskId);
    if (await hasEnded(broker, taskId)) {
      // The process that cancelled it may have died before it stored the command, or may look for it later.
      await storeEndedCommand(broker, taskId, oldest.data);
      await deleteMessage(broker, STREAM.commands, oldest.seq);
      continue;
    }
    const subject = SUBJECT.run(queueOf(oldest), 'next', sessionId);
    const stored = await publishExpecting(broker, asRun(oldest, subject, { filter, seq: last.seq }));
    if (stored !== undefined) return { taskId, waitingSeq: oldest.seq };
  }
  return undefined;
}

/** Copies a queue entry to another subject of its session. */
export const asRun = (
  stored: StoredQueueEntry,
  subject: string,
  expect: Expectation,
): Publication & { readonly expect: Expectation } => {
  const headers = Object.fromEntries(
    FORWARDED.map((name) => [name, stored.header(name)]).filter(([, value]) => value !== ''),
  );
  return { subject, payload: stored.data, headers, expect };
};
const FORWARDED = [HEADER.taskId, HEADER.depth, HEADER.type, HEADER.traceparent];

export type StoredQueueEntry = Pick<Stored, 'subject' | 'data' | 'header'>;

/** The queue of a queue entry. */
export const queueOf = ({ subject }: Pick<Stored, 'subject'>): string => subject.split('.')[3] ?? '';

async function hasEnded(broker: Broker, taskId: string | undefined): Promise<boolean> {
  return taskId !== undefined && isEnded((await lastState(broker, taskId)).status);
}

/**
 * Releases a session after the outcome of `taskId` is stored: stores its command for a retry, promotes the next entry, and removes the run.
 * Idempotent, also after a crash between two steps.
 * @param ack acknowledges the run, and resolves when the broker has confirmed it.
 */
export async function releaseSession(
  broker: Broker,
  sessionId: string,
  taskId: string,
  ack: () => Promise<void>,
): Promise<void> {
  const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
  const ownRun = run !== undefined && run.header(HEADER.taskId) === taskId ? run : undefined;
  if (ownRun !== undefined) await storeEndedCommand(broker, taskId, ownRun.data);
  const promoted = await promote(broker, sessionId, taskId);
  if (ownRun !== undefined && ownRun.subject.split('.')[4] === PARKED) {
    await deleteMessage(broker, STREAM.commands, ownRun.seq);
    await deleteSchedule(broker, SCHEDULE.parked(sessionId, taskId));
  }
  await ack();
  const late = promoted ?? (await lookAgain(broker, sessionId, taskId));
  if (late !== undefined) await deleteMessage(broker, STREAM.commands, late.waitingSeq);
}

/**
 * Promotes an entry that was stored during the release, whose process saw the run and left the promotion to this one. A cluster may show a
 * run for a moment after it confirmed the acknowledgement, so this repeats until the run is gone.
 */
async function lookAgain(broker: Broker, sessionId: string, taskId: string): Promise<Promoted | undefined> {
  for (let tries = 1; tries <= MAX_LOOKS; tries++) {
    // Usually the session is empty: one read instead of two.
    if (!(await hasAny(broker, STREAM.commands, SUBJECT.session(sessionId)))) return undefined;
    const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    const late = await promote(broker, sessionId, taskId);
    if (late !== undefined || run === undefined || run.header(HEADER.taskId) !== taskId) return late;
    await sleep(broker.clock, tries * LOOK_AGAIN_MS);
  }
  return undefined;
}

/**
 * Repairs sessions after crashes: promotes in each session that has waiting entries and no run.
 * @returns the number of promotions. @throws {BrokerError} the first failure, after all sessions were tried.
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
