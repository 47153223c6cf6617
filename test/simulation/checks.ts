import type { EventData } from '../../contracts/events/events.js';
import { HEADER, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import { effectivePolicy } from '../../workers/attempt/policy.js';
import { MAX_LOST_STARTS } from '../../workers/attempt/history.js';
import { EPOCH, MAX_SKEW_MS } from './process.js';
import type { Chronicle, ClaudeRunRecord, RecordedEvent } from './chronicle.js';
import { matches, type SimMessage, type SimStream } from './stream.js';

/** The invariants of docs/design/terms-and-wire.md#invariants, over all that is known of a world's run. What is broken becomes a violation of the record. */
export function checkAll(record: Chronicle): void {
  const byTask = new Map<string, RecordedEvent[]>();
  for (const recorded of record.events) byTask.set(recorded.taskId, [...(byTask.get(recorded.taskId) ?? []), recorded]);
  oneOutcome(record, byTask);
  oneRunOfASession(record);
  inOrder(record, byTask);
  for (const [taskId, events] of byTask) {
    attempts(record, taskId, events);
    policy(record, taskId, events);
  }
  deadLetters(record);
  oneClaudeAtOnce(record);
}

/** As a run is stored: it is its session's only one, but for those that have ended, and for its own task's of before a wait. */
export function checkRuns(record: Chronicle, commands: SimStream, { subject, header, seq }: SimMessage): void {
  if (!subject.startsWith('ksi.commands.spawn.')) return;
  const sessionId = subject.slice(subject.lastIndexOf('.') + 1);
  const mine = header.get(HEADER.taskId);
  for (const run of commands.messages) {
    if (run.seq === seq || !matches(SUBJECT.sessionRuns(sessionId), run.subject)) continue;
    const taskId = run.header.get(HEADER.taskId);
    const events = record.events.filter((one) => one.taskId === taskId);
    const may = events.some(taskId === mine ? mayBeParked : isOutcome);
    if (!may) record.violate(`a run of ${mine} is stored beside one of ${taskId} in the same session`);
  }
}

/** Its run may be another message from now on: it has begun, or waits for its workspace. */
const mayBeParked = ({ event }: RecordedEvent): boolean =>
  event.type === 'SPAWN_START' ||
  (event.type === 'SPAWN_WAITING' && (event.data as EventData<'SPAWN_WAITING'>).reason === 'workspace_busy');

const isOutcome = ({ event }: RecordedEvent): boolean => {
  const status = statusOfEvent(event.type);
  return status !== undefined && isEnded(status);
};

function oneOutcome(record: Chronicle, byTask: ReadonlyMap<string, RecordedEvent[]>): void {
  for (const taskId of record.accepted) {
    const outcomes = (byTask.get(taskId) ?? []).filter(isOutcome);
    if (outcomes.length !== 1) record.violate(`${taskId} was accepted and has ${outcomes.length} outcomes`);
    else if (outcomes.some(({ event }) => (event.data as { reason?: string }).reason === 'not_accepted'))
      record.violate(`${taskId} was accepted and then not`);
  }
  for (const taskId of record.ordered)
    if (!(byTask.get(taskId) ?? []).some(isOutcome)) record.violate(`${taskId} was stored and has no outcome`);
  for (const [taskId, events] of byTask) {
    const first = events.findIndex(isOutcome);
    if (first >= 0 && first < events.length - 1)
      record.violate(`${taskId} has ${events[first + 1]?.event.type} after its outcome`);
  }
}

/** From SPAWN_START to the attempt's end, by what is stored. */
function oneRunOfASession(record: Chronicle): void {
  const open = new Map<string, RecordedEvent>();
  for (const recorded of record.events) {
    const { event, taskId } = recorded;
    const { session_id: sessionId = '' } = record.posted.get(taskId) ?? {};
    const running = open.get(sessionId);
    if (event.type === 'SPAWN_START') {
      if (running !== undefined) record.violate(`${taskId} starts while ${running.taskId} runs in the same session`);
      open.set(sessionId, recorded);
    } else if (event.type !== 'SPAWN_MESSAGE' && running?.taskId === taskId) open.delete(sessionId);
  }
}

function inOrder(record: Chronicle, byTask: ReadonlyMap<string, RecordedEvent[]>): void {
  const latest = new Map<string, { taskId: string; seq: number }>();
  for (const taskId of record.ordered) {
    const start = byTask.get(taskId)?.find(({ event }) => event.type === 'SPAWN_START');
    if (start === undefined) continue;
    const { session_id: sessionId = '' } = record.posted.get(taskId) ?? {};
    const before = latest.get(sessionId);
    if (before !== undefined && start.seq < before.seq) record.violate(`${taskId} started before ${before.taskId}`);
    latest.set(sessionId, { taskId, seq: start.seq });
  }
}

/** Each event is of the attempt that ran when it was stored, and `n` counts them without a gap. */
function attempts(record: Chronicle, taskId: string, events: readonly RecordedEvent[]): void {
  let attempt = 0;
  let running = false;
  let n = 0;
  for (const { event, seq, at } of events) {
    const data = event.data as { attempt?: number; n?: number };
    const given = event.type === 'SPAWN_ERROR' ? (event.data as EventData<'SPAWN_ERROR'>).given_up : undefined;
    if (event.type === 'SPAWN_START') {
      if (data.attempt !== attempt + 1) record.violate(`${taskId} has attempt ${data.attempt} after ${attempt}`);
      if (running) record.violate(`${taskId} starts again while attempt ${attempt} runs`);
      attempt = data.attempt ?? 0;
      running = true;
      n = 0;
    } else if (data.attempt !== undefined && (data.attempt !== attempt || (!running && given !== 'workers_lost')))
      record.violate(`${taskId} #${seq} ${event.type} is stored of attempt ${data.attempt}, which does not run`);
    if (data.n !== undefined && data.n !== ++n)
      record.violate(`${taskId} #${seq} ${event.type} has n ${data.n}, not ${n}`);
    if (event.type === 'SPAWN_START' || event.type === 'SPAWN_MESSAGE') continue;
    running = false;
    checkComplete(record, taskId, event, at, n);
  }
}

/** All that Claude said stands before the end that its attempt gave itself. */
function checkComplete(record: Chronicle, taskId: string, event: RecordedEvent['event'], at: number, n: number): void {
  const counted = event.type === 'SPAWN_RETRY' && (event.data as EventData<'SPAWN_RETRY'>).counted === true;
  if (event.type !== 'SPAWN_COMPLETE' && !counted) return;
  const run = record.runAt(taskId, at);
  const stored = event.type === 'SPAWN_COMPLETE' ? n - 2 : n - 1;
  if (run !== undefined && stored < run.messages)
    record.violate(`${taskId} has ${stored} of the ${run.messages} messages of its attempt`);
}

function policy(record: Chronicle, taskId: string, events: readonly RecordedEvent[]): void {
  const command = record.posted.get(taskId);
  if (command === undefined) return;
  const { maxAttempts } = effectivePolicy(command, Infinity);
  let failures = 0;
  let lost = 0;
  let notBefore = 0;
  for (const { event, at } of events) {
    if (event.type === 'SPAWN_START' && at + EPOCH < notBefore - 2 * MAX_SKEW_MS)
      record.violate(`${taskId} started ${Math.round(notBefore - at - EPOCH)} ms before its time`);
    if (event.type === 'SPAWN_RETRY') {
      const { counted, retry_at, reason } = event.data as EventData<'SPAWN_RETRY'>;
      if (counted === true) failures++;
      if (reason === 'worker_lost') lost++;
      const { resetsAt = 0 } = record.runAt(taskId, at) ?? {};
      if (retry_at !== undefined)
        notBefore = Math.max(Date.parse(retry_at), reason === 'claude_rate_limited' ? resetsAt : 0);
      if (failures >= maxAttempts)
        record.violate(`${taskId} is tried again after ${failures} of ${maxAttempts} failures`);
    }
    if (event.type !== 'SPAWN_ERROR') continue;
    const { given_up, error } = event.data as EventData<'SPAWN_ERROR'>;
    if (given_up === 'workers_lost' && lost < MAX_LOST_STARTS)
      record.violate(`${taskId} is given up after ${lost} lost starts`);
    if (given_up === 'attempts_exhausted' && failures + 1 !== maxAttempts)
      record.violate(`${taskId} is given up after ${failures + 1} of ${maxAttempts} failures`);
    if (given_up === undefined && error.retryable)
      record.violate(`${taskId} ended with ${error.code} and was not tried again`);
  }
}

function deadLetters(record: Chronicle): void {
  const given = record.events
    .filter(
      ({ event }) => event.type === 'SPAWN_ERROR' && (event.data as EventData<'SPAWN_ERROR'>).given_up !== undefined,
    )
    .map(({ taskId }) => taskId);
  for (const taskId of given)
    if (!record.dead.includes(taskId)) record.violate(`${taskId} was given up and has no dead letter`);
  if (record.dead.length > given.length) record.violate('there are dead letters of tasks that were not given up');
}

/** A lease begins when its delivery arrives, and clocks drift. */
const TOLERATED_MS = 25;

/** Of processes that did not stand still: their leases are to see to it. What is written is fenced in any case. */
function oneClaudeAtOnce(record: Chronicle): void {
  const placeOf = ({ taskId, sessionId }: ClaudeRunRecord): string => record.posted.get(taskId)?.workspace ?? sessionId;
  for (const [index, earlier] of record.claude.entries())
    for (const later of record.claude.slice(index + 1)) {
      if (placeOf(later) !== placeOf(earlier)) continue;
      // The one whose lease ran out may be either: it may have been slow to begin (seed 1381).
      if (earlier.excused() || later.excused()) continue;
      const ms = Math.round((earlier.over ?? Infinity) - later.begunAt);
      if (ms <= TOLERATED_MS) continue;
      record.violate(`Claude runs ${later.taskId} for ${ms} ms beside ${earlier.taskId} in ${placeOf(later)}`);
    }
}
