import type { EventData } from '../../contracts/events/events.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import type { Delivery } from '../../src/broker/consume.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn } from '../../src/broker/events.js';
import { isSuperseded } from '../../src/broker/parked-runs.js';
import { lastBySubject } from '../../src/broker/read.js';
import { queueOf } from '../../src/broker/session-queue.js';
import { whileUnavailable } from '../../src/broker/certain.js';
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
import { isStale, isSuspect, MAX_LOST_STARTS, readPosition, type RanBefore, type TaskPosition } from './history.js';
import type { WorkspacePlace } from './workspace-place.js';

/** An attempt that is ours: its SPAWN_START is stored, and after that it still had its place in the workspace. */
export interface Claim {
  readonly attempt: number;
  readonly startId: string;
  readonly startSeq: number;
  /** Attempts before this one that count against the policy. */
  readonly failures: number;
  /** Where the session's transcript is resumed from, and its last sequence. */
  readonly transcript: { readonly from: number; readonly last: number };
}

export type Claimed =
  | { kind: 'claimed'; claim: Claim }
  /** Its next attempt is not due yet. */
  | { kind: 'early'; pauseMs: number }
  /** It may be what takes workers down: it is to have one for itself. */
  | { kind: 'suspect' }
  /** It waits for its workspace, or is to come again as too many wait for that. */
  | { kind: 'held'; as: 'waits' | 'full' }
  /** A later message of the same run stands in its place: this one is only to be taken off the queue. */
  | { kind: 'superseded' }
  /** It has an outcome: only the rest of its end may be missing. */
  | { kind: 'ended' }
  /** Another worker has it, or an attempt here that goes on. */
  | { kind: 'lost' };

/** SPAWN_QUEUED, or the lost attempt's own last word, may come between our reading and our start; more than that is somebody else. */
const TRIES = 3;

/**
 * Makes a delivered run an attempt of ours, by compare-and-set on the task's states. A run that was started before is
 * taken over; one that was lost too often is given up.
 * @param policy undefined: the command can't be read.
 * @param further `alone`: nothing else runs in this worker. `place`: in the workspace that it is to write in.
 * @throws {BrokerError} and the signal's reason.
 */
export async function claimTask(
  context: WorkerContext,
  identity: TaskIdentity,
  delivery: Delivery,
  policy: EffectivePolicy | undefined,
  signal: AbortSignal,
  { alone = false, place }: { readonly alone?: boolean; readonly place?: WorkspacePlace | undefined } = {},
): Promise<Claimed> {
  const { broker } = context;
  const run = { seq: delivery.seq, delivery: delivery.count };
  for (let tries = 1; tries <= TRIES; tries++) {
    const position = await whileUnavailable(broker, signal, () => readPosition(broker, identity.task_id, context.log));
    // What a crash while it was parked left; as old as any other, it could take over the living one.
    if (
      (position.kind !== 'new' || position.waitsFor !== undefined) &&
      (await whileUnavailable(broker, signal, () => superseded(broker, identity, run.seq)))
    )
      return { kind: 'superseded' };
    // Cancelled, its attempt may be alive, and its session is to be free only when that is over.
    if (position.kind === 'ended')
      return { kind: position.held?.seq === run.seq && isStale(run, position.held) ? 'lost' : 'ended' };
    if (position.kind === 'again' && position.running !== undefined && isStale(run, position.running))
      return { kind: 'lost' };
    const pause = position.kind === 'again' ? pauseMs(position.retryAt, broker.clock.now()) : 0;
    if (pause > 0) return { kind: 'early', pauseMs: pause };
    const traceparent = delivery.header(HEADER.traceparent);
    const claiming = { context, identity, run, queue: queueOf(delivery), traceparent, signal, alone, place };
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
  readonly place: WorkspacePlace | undefined;
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
  { last, waitsFor }: Extract<TaskPosition, { kind: 'new' }>,
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
  whileUnavailable(broker, signal, () => transcriptEnd(broker, identity.session_id));

async function takeOver(claiming: Claiming, position: RanBefore): Promise<Claimed | undefined> {
  const { context, identity, signal } = claiming;
  let { last } = position;
  if (position.running !== undefined) {
    // The lost attempt was this worker's own, and is still ending: it reports the reason itself.
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
    // Only now that the attempt is ours: one that comes too late would void what came after it.
    const end = await rewind(claiming, transcriptSeq, claimed.claim.startSeq);
    if (end === undefined) return { kind: 'lost' };
    return { kind: 'claimed', claim: { ...claimed.claim, transcript: { from: transcriptSeq, last: end } } };
  }
  if ((await rewind(claiming, transcriptSeq, last.seq)) === undefined) return undefined;
  const n = (await whileUnavailable(context.broker, signal, () => lastN(context, identity.task_id))) + 1;
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
  const { context, run, place, signal } = claiming;
  const { workerId, process, host } = context;
  const entered = (await place?.enter(signal)) ?? 'in';
  if (entered !== 'in') return { kind: 'held', as: entered };
  const data = { attempt, n: 1, worker_id: workerId, process, host, transcript_seq: transcript.from, run };
  const stored = await move(claiming, last, 'running', data);
  if (stored === undefined) return undefined;
  if (place !== undefined && !(await whileUnavailable(context.broker, signal, () => place.holds()))) {
    // The process stood still after it entered, and the sweeper gave its place to another task. No renewal of a long lease would show it soon.
    const lost = { identity: claiming.identity, attempt, startSeq: stored.seq };
    await endLostAttempt(context.broker, lost, 'worker_lost', workerId, signal);
    return undefined;
  }
  return { kind: 'claimed', claim: { attempt, failures, startId: stored.id, startSeq: stored.seq, transcript } };
}

/**
 * Voids what the lost attempts wrote, while the task's last state is `stateSeq`.
 * @returns the transcript's new last sequence; undefined when somebody else has the task by now.
 */
function rewind({ context, identity, signal }: Claiming, to: number, stateSeq: number): Promise<number | undefined> {
  const { broker } = context;
  const holds = async (): Promise<boolean> => (await lastState(broker, identity.task_id)).seq === stateSeq;
  return rewindTranscript(broker, identity, to, holds, signal);
}

/** The `n` of the last event of a task's last attempt, which can write no more. */
async function lastN({ broker }: WorkerContext, taskId: string): Promise<number> {
  const starts = await lastBySubject(broker, STREAM.events, SUBJECT.taskState(taskId, TASK_STATES.running.token));
  const output = await lastBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId));
  // An output before the last start is of an earlier attempt.
  if (output === undefined || output.seq < (starts?.seq ?? 0)) return 1;
  const { n = 1 } = (eventIn(output.data)?.data ?? {}) as { n?: number };
  return n;
}
