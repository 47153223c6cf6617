import type { EventData } from '../../contracts/events/events.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import type { Delivery } from '../../src/broker/consume.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn } from '../../src/broker/events.js';
import { isSuperseded } from '../../src/broker/parked-runs.js';
import { lastBySubject } from '../../src/broker/read.js';
import { queueOf } from '../../src/broker/session-queue.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { rewindTranscript, transcriptEnd } from '../claude/transcripts.js';
import type { WorkerContext } from './context.js';
import { endLostAttempt } from '../journal/lost-attempt.js';
import { taskError } from './outcome.js';
import { pauseMs, type EffectivePolicy } from './policy.js';
import {
  lastState,
  transition,
  type LastState,
  type Predecessor,
  type StateData,
  type StoredStatus,
  type TaskIdentity,
} from '../../src/broker/task-states.js';
import { isStale, isSuspect, MAX_LOST_STARTS, readHistory, type EarlierAttempts, type TaskHistory } from './history.js';
import type { WorkspaceUse } from './workspace-place.js';
import { defined } from '../../src/defined.js';

/** This worker's attempt: its SPAWN_START is stored, and afterwards it still held its place in the workspace. */
export interface Claim {
  readonly attempt: number;
  readonly startId: string;
  readonly startSeq: number;
  /** Earlier attempts that count against the policy. */
  readonly failures: number;
  /** The sequence from which the transcript is resumed, and its last sequence. */
  readonly transcript: { readonly from: number; readonly last: number };
}

export type Claimed =
  | { kind: 'claimed'; claim: Claim }
  /** The next attempt may not start yet. */
  | { kind: 'early'; pauseMs: number }
  /** The task may kill workers: it needs an exclusive run. */
  | { kind: 'suspect' }
  /** `waits`: for its workspace. `full`: too many tasks wait for the workspace; try later. */
  | { kind: 'held'; as: 'waits' | 'full' }
  /** A later queue entry of the task replaces this run, which must only be removed. */
  | { kind: 'superseded' }
  /** The task has an outcome. Only the release may be missing. */
  | { kind: 'ended' }
  /** Another worker has the task, or a running attempt in this worker. */
  | { kind: 'lost' };

/** SPAWN_QUEUED or the lost attempt's last event may come between the read and the start. More conflicts mean that another worker has the task. */
const TRIES = 3;

/**
 * Claims a delivered run by compare-and-set on the task's states. A run with a lost attempt is taken over. A run whose attempts were lost
 * too often is given up.
 * @param policy undefined: the command cannot be read.
 * @param further `alone`: this is the worker's exclusive run. `place` and `reads`: see WorkspaceUse.
 * @throws {BrokerError} and the signal's reason.
 */
export async function claimTask(
  context: WorkerContext,
  identity: TaskIdentity,
  delivery: Delivery,
  policy: EffectivePolicy | undefined,
  signal: AbortSignal,
  { alone = false, ...use }: WorkspaceUse & { readonly alone?: boolean } = {},
): Promise<Claimed> {
  const { broker } = context;
  const run = { seq: delivery.seq, delivery: delivery.count };
  for (let tries = 1; tries <= TRIES; tries++) {
    const position = await retryWhileUnavailable(broker, signal, () =>
      readHistory(broker, identity.task_id, context.log),
    );
    // A crash during parking left this entry. It could take over the living attempt.
    if (
      (position.kind !== 'new' || position.waitsFor !== undefined) &&
      (await retryWhileUnavailable(broker, signal, () => superseded(broker, identity, run.seq)))
    )
      return { kind: 'superseded' };
    // A cancelled attempt may still be running. The session may be released only after it ends.
    if (position.kind === 'ended')
      return { kind: position.held?.seq === run.seq && isStale(run, position.held) ? 'lost' : 'ended' };
    if (position.kind === 'again' && position.running !== undefined && isStale(run, position.running))
      return { kind: 'lost' };
    const pause = position.kind === 'again' ? pauseMs(position.retryAt, broker.clock.now()) : 0;
    if (pause > 0) return { kind: 'early', pauseMs: pause };
    const traceparent = delivery.header(HEADER.traceparent);
    const claiming = { context, identity, run, queue: queueOf(delivery), traceparent, signal, alone, use };
    const claimed =
      position.kind === 'new' ? await startNew(claiming, position, policy) : await takeOver(claiming, position);
    if (claimed !== undefined) return claimed;
  }
  return { kind: 'lost' };
}

const superseded = (broker: Broker, { task_id: taskId, session_id: sessionId }: TaskIdentity, seq: number) =>
  isSuperseded(broker, { taskId, sessionId }, seq);

interface Claiming {
  readonly context: WorkerContext;
  readonly identity: TaskIdentity;
  readonly run: EventData<'SPAWN_START'>['run'];
  readonly traceparent: string;
  readonly signal: AbortSignal;
  readonly queue: string;
  readonly alone: boolean;
  readonly use: WorkspaceUse;
}

/** @returns undefined when another writer changed the task's state first. */
const move = <S extends StoredStatus>(
  { context: { broker }, identity, traceparent, signal }: Claiming,
  from: Predecessor,
  to: S,
  data: Omit<StateData<S>, keyof TaskIdentity>,
): Promise<LastState | undefined> =>
  transition(broker, from, to, { ...identity, ...data } as StateData<S>, { traceparent, signal });

async function startNew(
  claiming: Claiming,
  { last, waitsFor }: Extract<TaskHistory, { kind: 'new' }>,
  policy: EffectivePolicy | undefined,
): Promise<Claimed | undefined> {
  const { context, queue } = claiming;
  if (policy !== undefined && context.broker.clock.now() > policy.startBy) {
    const data = { queue_timeout_s: policy.queueTimeoutMs / 1_000 };
    const expired = await move(claiming, last, 'expired', data);
    return expired === undefined ? undefined : { kind: 'ended' };
  }
  const transcript = await transcriptNow(claiming);
  const claimed = await start(claiming, last, { attempt: 1, failures: 0, transcript });
  if (claimed?.kind !== 'held' || waitsFor === 'workspace_busy') return claimed;
  return (await move(claiming, last, 'waiting', { queue, reason: 'workspace_busy' })) && claimed;
}

const transcriptNow = ({ context: { broker }, identity, signal }: Claiming) =>
  retryWhileUnavailable(broker, signal, () => transcriptEnd(broker, identity.session_id));

async function takeOver(claiming: Claiming, position: EarlierAttempts): Promise<Claimed | undefined> {
  const { context, identity, signal } = claiming;
  let { last } = position;
  if (position.running !== undefined) {
    // The lost attempt is this worker's own and still ending. It reports the reason itself.
    const ending = context.endingRuns.get(identity.task_id);
    if (ending !== undefined) {
      await ending;
      return undefined;
    }
    const lost = { identity, attempt: position.attempts, startSeq: last.seq };
    const seq = await endLostAttempt(context.broker, lost, 'worker_lost', context.workerId, signal);
    if (seq === undefined) return undefined;
    last = { status: 'retrying', seq };
  }
  if (isSuspect(position) && !claiming.alone) return { kind: 'suspect' };
  const { attempts, failures } = position;
  const transcriptSeq = position.transcriptSeq ?? (await transcriptNow(claiming)).from;
  if (position.lostStarts < MAX_LOST_STARTS) {
    const transcript = { from: transcriptSeq, last: transcriptSeq };
    const claimed = await start(claiming, last, { attempt: attempts + 1, failures, transcript });
    if (claimed?.kind !== 'claimed') return claimed;
    // Only after the claim: a late rewind would void a successor's entries.
    const end = await rewind(claiming, transcriptSeq, claimed.claim.startSeq);
    if (end === undefined) return { kind: 'lost' };
    return { kind: 'claimed', claim: { ...claimed.claim, transcript: { from: transcriptSeq, last: end } } };
  }
  if ((await rewind(claiming, transcriptSeq, last.seq)) === undefined) return undefined;
  const n = (await retryWhileUnavailable(context.broker, signal, () => lastN(context, identity.task_id))) + 1;
  const error = taskError('worker_lost', `${position.lostStarts} attempts began and none ended`);
  const data = { attempt: attempts, n, error, given_up: 'workers_lost' as const };
  const given = await move(claiming, last, 'failed', data);
  return given === undefined ? undefined : { kind: 'ended' };
}

async function start(
  claiming: Claiming,
  last: Predecessor,
  { attempt, failures, transcript }: Pick<Claim, 'attempt' | 'failures' | 'transcript'>,
): Promise<Claimed | undefined> {
  const { context, run, signal } = claiming;
  const { place, reads } = claiming.use;
  const { workerId, process, host } = context;
  const entered = (await place?.enter(signal)) ?? 'in';
  if (entered !== 'in') return { kind: 'held', as: entered };
  const data = defined({
    attempt,
    n: 1,
    worker_id: workerId,
    process,
    host,
    reads_workspace: reads,
    transcript_seq: transcript.from,
    run,
  });
  const stored = await move(claiming, last, 'running', data);
  if (stored === undefined) return undefined;
  if (place !== undefined && !(await retryWhileUnavailable(context.broker, signal, () => place.holds()))) {
    // The process was suspended after it entered, and the sweeper freed its place for another task. A long lease would not show it soon.
    const lost = { identity: claiming.identity, attempt, startSeq: stored.seq };
    await endLostAttempt(context.broker, lost, 'worker_lost', workerId, signal);
    return undefined;
  }
  return { kind: 'claimed', claim: { attempt, failures, startId: stored.id, startSeq: stored.seq, transcript } };
}

/**
 * Rewinds the transcript entries of lost attempts while the task's last state is `stateSeq`.
 * @returns the transcript's new last sequence. Undefined: another worker has the task now.
 */
function rewind({ context, identity, signal }: Claiming, to: number, stateSeq: number): Promise<number | undefined> {
  const { broker } = context;
  const holds = async (): Promise<boolean> => (await lastState(broker, identity.task_id)).seq === stateSeq;
  return rewindTranscript(broker, identity, to, holds, signal);
}

/** The `n` of the last event of a task's last attempt, which is fenced. */
async function lastN({ broker }: WorkerContext, taskId: string): Promise<number> {
  const starts = await lastBySubject(broker, STREAM.events, SUBJECT.taskState(taskId, TASK_STATES.running.token));
  const output = await lastBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId));
  // Output before the last start belongs to an earlier attempt.
  if (output === undefined || output.seq < (starts?.seq ?? 0)) return 1;
  const { n = 1 } = (eventIn(output.data)?.data ?? {}) as { n?: number };
  return n;
}
