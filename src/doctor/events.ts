import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded } from '../../contracts/tasks/states.js';
import type { Broker } from '../broker/connect.js';
import { eventIn } from '../broker/events.js';
import { streamPosition } from '../broker/read.js';
import { findEntry } from '../broker/session-queue.js';
import { lastState } from '../broker/task-states.js';
import { readStream } from '../broker/replay.js';
import { findingsOf, type Finding } from './finding.js';
import { Invariants } from './invariants.js';

const { ok, warning, failed, skipped } = findingsOf('events');
/** Within this time, APIs and workers finish what they have started. */
const GRACE_MS = 60_000;
const CLOCK_TIMEOUT_MS = 5_000;
const SHOWN = 5;
const PROGRESS_EVERY = 10_000;

/**
 * Checks the invariants of all stored task events, and compares the queue with them. The system may run meanwhile.
 * @param time ends the reading when it aborts
 * @param at the present, in ms since 1970; default: the broker's time
 */
export async function* checkEvents(
  broker: Broker,
  progress: (text: string) => void,
  time?: AbortSignal,
  at?: number,
): AsyncGenerator<Finding> {
  await broker.clock.known(AbortSignal.timeout(CLOCK_TIMEOUT_MS));
  const now = at ?? broker.clock.now();
  const { lastSeq } = await streamPosition(broker, STREAM.events);
  const seen = new Invariants();
  for await (const { seq, subject, data } of readStream(broker, STREAM.events, 'ksi.events.task.>', 0, lastSeq)) {
    const event = eventIn(data);
    if (event !== undefined) seen.add({ seq, subject, timestamp: event.timestamp, data: { ...event.data } });
    else
      yield failed(
        'events',
        `the message at sequence ${seq} (${subject}) is not an event`,
        'Find out which program other than KSI may publish there.',
      );
    if (time?.aborted === true) {
      yield skipped(
        'invariants',
        `there was time for only ${seen.events.toLocaleString('en-US')} events`,
        'Read all of them, without a time limit: ksi doctor --all-events',
      );
      return;
    }
    if (seen.events % PROGRESS_EVERY === 0)
      progress(`${seen.events.toLocaleString('en-US')} events, up to ${seq} of ${lastSeq}`);
  }
  const count = `${seen.events.toLocaleString('en-US')} events of ${seen.tasks.toLocaleString('en-US')} tasks`;
  if (seen.violations.length === 0) yield ok('invariants', `hold in ${count}`);
  for (const { rule, taskId, seq, what } of seen.violations.slice(0, SHOWN))
    yield failed(
      rule,
      `task ${taskId}: ${what} (sequence ${seq})`,
      `Please report this with its events: ksi logs ${taskId} -o jsonl`,
    );
  if (seen.violations.length > SHOWN)
    yield failed(
      'invariants',
      `${seen.violations.length} violations in ${count}; the first ${SHOWN} are above`,
      'Please report them.',
    );
  yield* checkLost(broker, seen, now);
  yield* checkLeftOver(broker, seen, now);
}

/** Every open task has a queue entry, because the entry is deleted only after the outcome is stored. */
async function* checkLost(broker: Broker, seen: Invariants, now: number): AsyncGenerator<Finding> {
  const lost: string[] = [];
  let open = 0;
  for (const { taskId, sessionId, at } of seen.open()) {
    open++;
    if (now - Date.parse(at) < GRACE_MS) continue;
    // In this order: if the task has just left the queue, its outcome is stored by now.
    if ((await findEntry(broker, { taskId, sessionId })) !== undefined) continue;
    const { status, seq } = await lastState(broker, taskId);
    if (seq > 0 && !isEnded(status)) lost.push(taskId);
  }
  yield lost.length === 0
    ? ok('open tasks', `${open}, each in the queue`)
    : failed(
        'open tasks',
        `${lost.length} of ${open} are not in the queue: ${lost.slice(0, SHOWN).join(', ')}`,
        'They would never end. Cancel them (ksi cancel ID), and please report this.',
      );
}

async function* checkLeftOver(broker: Broker, seen: Invariants, now: number): AsyncGenerator<Finding> {
  let entries = 0;
  let leftOver = 0;
  const { lastSeq } = await streamPosition(broker, STREAM.commands);
  for await (const stored of readStream(broker, STREAM.commands, SUBJECT.commandsAll, 0, lastSeq)) {
    entries++;
    const ended = seen.endOf(stored.header(HEADER.taskId));
    if (ended !== undefined && now - Date.parse(ended) > GRACE_MS) leftOver++;
  }
  yield leftOver === 0
    ? ok('queue', `${entries} tasks, none of which has ended`)
    : warning(
        'queue',
        `${leftOver} of its ${entries} tasks have ended`,
        'A worker removes each when it receives it. Check that one runs: ksi workers',
      );
}
