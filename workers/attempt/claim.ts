import type { EventData, EventType } from '../../contracts/events/events.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import type { Delivery } from '../../src/broker/consume.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn, eventPublication, newEvent } from '../../src/broker/events.js';
import { isSuperseded } from '../../src/broker/parked-runs.js';
import { lastBySubject } from '../../src/broker/read.js';
import { queueOf } from '../../src/broker/session-queue.js';
import { publishCertainly, whileUnavailable } from '../certain.js';
import { rewindTranscript, transcriptEnd } from '../claude/transcripts.js';
import type { WorkerContext } from '../context.js';
import { taskError } from '../outcome.js';
import { pauseMs, type EffectivePolicy } from '../policy.js';
import type { TaskIdentity } from './command.js';
import { isStale, isSuspect, MAX_LOST_STARTS, readPosition, type RanBefore, type TaskPosition } from './history.js';
import type { WorkspacePlace } from './workspace-place.js';

/** An attempt that is ours: its SPAWN_START is stored. */
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
    const position = await whileUnavailable(broker, signal, () => readPosition(broker, identity.task_id));
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
    const publish = publisherOf(context, identity, delivery.header(HEADER.traceparent), signal);
    const queue = queueOf(delivery);
    const claiming = { context, identity, run, queue, publish, signal, alone, place };
    const claimed =
      position.kind === 'new' ? await startNew(claiming, position, policy) : await takeOver(claiming, position);
    if (claimed !== undefined) return claimed;
  }
  return { kind: 'lost' };
}

const superseded = (broker: Broker, { task_id: taskId, session_id: sessionId }: TaskIdentity, seq: number) =>
  isSuperseded(broker, { taskId, sessionId }, seq);

type PublishState = <T extends EventType>(
  type: T,
  token: string,
  data: Omit<EventData<T>, keyof TaskIdentity>,
  expectSeq: number,
) => Promise<{ id: string; seq: number } | undefined>;

function publisherOf(
  { broker }: WorkerContext,
  identity: TaskIdentity,
  traceparent: string,
  signal: AbortSignal,
): PublishState {
  return async (type, token, data, expectSeq) => {
    const event = newEvent(broker.clock, type, { ...identity, ...data } as EventData<typeof type>);
    const expect = { filter: SUBJECT.taskStates(identity.task_id), seq: expectSeq };
    const publication = eventPublication(event, SUBJECT.taskState(identity.task_id, token), expect, traceparent);
    const seq = await publishCertainly(broker, STREAM.events, { ...publication, msgId: event.id, expect }, signal);
    return seq === undefined ? undefined : { id: event.id, seq };
  };
}

interface Claiming {
  readonly context: WorkerContext;
  readonly identity: TaskIdentity;
  readonly run: EventData<'SPAWN_START'>['run'];
  readonly publish: PublishState;
  readonly signal: AbortSignal;
  readonly queue: string;
  readonly alone: boolean;
  readonly place: WorkspacePlace | undefined;
}

async function startNew(
  claiming: Claiming,
  { lastSeq, waitsFor }: Extract<TaskPosition, { kind: 'new' }>,
  policy: EffectivePolicy | undefined,
): Promise<Claimed | undefined> {
  const { context, identity, publish, signal, queue } = claiming;
  if (policy !== undefined && context.broker.clock.now() > policy.startBy) {
    const data = { queue_timeout_s: policy.queueTimeoutMs / 1_000 };
    const expired = await publish('SPAWN_EXPIRED', TASK_STATES.expired.token, data, lastSeq);
    return expired === undefined ? undefined : { kind: 'ended' };
  }
  const transcript = await whileUnavailable(context.broker, signal, () =>
    transcriptEnd(context.broker, identity.session_id),
  );
  const claimed = await start(claiming, { attempt: 1, failures: 0, lastSeq, transcript });
  if (claimed?.kind !== 'held' || waitsFor === 'workspace_busy') return claimed;
  const waiting = { queue, reason: 'workspace_busy' as const };
  return (await publish('SPAWN_WAITING', TASK_STATES.waiting.token, waiting, lastSeq)) && claimed;
}

async function takeOver(claiming: Claiming, position: RanBefore): Promise<Claimed | undefined> {
  const { context, identity, publish, signal } = claiming;
  let { lastSeq } = position;
  if (position.running !== undefined) {
    // From here on the broker refuses whatever the lost attempt might still publish.
    const reason = 'worker_lost' as const;
    const retry = { attempt: position.attempts, reason, worker_id: context.workerId, counted: false };
    const stored = await publish('SPAWN_RETRY', TASK_STATES.retrying.token, retry, lastSeq);
    if (stored === undefined) return undefined;
    lastSeq = stored.seq;
  }
  if (isSuspect(position) && !claiming.alone) return { kind: 'suspect' };
  const { attempts, failures, transcriptSeq } = position;
  if (position.lostStarts < MAX_LOST_STARTS) {
    const transcript = { from: transcriptSeq, last: transcriptSeq };
    const claimed = await start(claiming, { attempt: attempts + 1, failures, lastSeq, transcript });
    if (claimed?.kind !== 'claimed') return claimed;
    // Only now that the attempt is ours: one that comes too late would void what came after it.
    const last = await rewind(claiming, transcriptSeq, claimed.claim.startSeq);
    if (last === undefined) return { kind: 'lost' };
    return { kind: 'claimed', claim: { ...claimed.claim, transcript: { from: transcriptSeq, last } } };
  }
  if ((await rewind(claiming, transcriptSeq, lastSeq)) === undefined) return undefined;
  const n = (await whileUnavailable(context.broker, signal, () => lastN(context, identity.task_id))) + 1;
  const error = taskError('worker_lost', `${position.lostStarts} attempts began and none ended`);
  const data = { attempt: attempts, n, error, given_up: 'workers_lost' as const };
  const given = await publish('SPAWN_ERROR', TASK_STATES.failed.token, data, lastSeq);
  return given === undefined ? undefined : { kind: 'ended' };
}

async function start(
  { context, publish, run, place, signal }: Claiming,
  { attempt, failures, lastSeq, transcript }: Pick<Claim, 'attempt' | 'failures' | 'transcript'> & { lastSeq: number },
): Promise<Claimed | undefined> {
  const { workerId, process, host } = context;
  const entered = (await place?.enter(signal)) ?? 'in';
  if (entered !== 'in') return { kind: 'held', as: entered };
  const data = { attempt, n: 1, worker_id: workerId, process, host, transcript_seq: transcript.from, run };
  const stored = await publish('SPAWN_START', TASK_STATES.running.token, data, lastSeq);
  if (stored === undefined) return undefined;
  return { kind: 'claimed', claim: { attempt, failures, startId: stored.id, startSeq: stored.seq, transcript } };
}

/**
 * Voids what the lost attempts wrote, while the task's last state is `stateSeq`.
 * @returns the transcript's new last sequence; undefined when somebody else has the task by now.
 */
function rewind({ context, identity, signal }: Claiming, to: number, stateSeq: number): Promise<number | undefined> {
  const { broker } = context;
  const holds = async (): Promise<boolean> =>
    (await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(identity.task_id)))?.seq === stateSeq;
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
