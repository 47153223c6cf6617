import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded } from '../../contracts/tasks/states.js';
import type { Broker } from '../broker/connect.js';
import { eventIn } from '../broker/events.js';
import { streamPosition } from '../broker/read.js';
import { placeOf } from '../broker/session-queue.js';
import { lastState } from '../broker/task-states.js';
import { readStream } from '../broker/replay.js';
import { findingsOf, type Finding } from './finding.js';
import { Invariants } from './invariants.js';

const { ok, warning, failed, skipped } = findingsOf('events');
/** What an API or a worker is about to do, it has done by then. */
const GRACE_MS = 60_000;
const CLOCK_WITHIN_MS = 5_000;
const SHOWN = 5;
const ALL = 'Read them all, however long it takes: ksi doctor --all-events';
const EVERY = 10_000;

/** The invariants over all stored events of tasks, and the queue against them. A system that runs meanwhile is no cause of complaint. @param time ends the reading. */
export async function* checkEvents(
  broker: Broker,
  progress: (text: string) => void,
  time?: AbortSignal,
  at?: number,
): AsyncGenerator<Finding> {
  await broker.clock.known(AbortSignal.timeout(CLOCK_WITHIN_MS));
  const now = at ?? broker.clock.now();
  const { lastSeq } = await streamPosition(broker, STREAM.events);
  const seen = new Invariants();
  for await (const { seq, subject, data } of readStream(broker, STREAM.events, 'ksi.events.task.>', 0, lastSeq)) {
    const event = eventIn(data);
    if (event !== undefined) seen.add({ seq, subject, timestamp: event.timestamp, data: { ...event.data } });
    else
      yield failed(
        'events',
        `what is stored at sequence ${seq} (${subject}) is no event`,
        'Who but KSI may publish there?',
      );
    if (time?.aborted === true) {
      yield skipped('invariants', `only ${seen.events.toLocaleString('en-US')} events could be read in time`, ALL);
      return;
    }
    if (seen.events % EVERY === 0)
      progress(`${seen.events.toLocaleString('en-US')} events, up to ${seq} of ${lastSeq}`);
  }
  const count = `${seen.events.toLocaleString('en-US')} events of ${seen.tasks.toLocaleString('en-US')} tasks`;
  if (seen.violations.length === 0) yield ok('invariants', `hold in ${count}`);
  for (const { rule, taskId, seq, what } of seen.violations.slice(0, SHOWN))
    yield failed(
      rule,
      `task ${taskId}: ${what} (sequence ${seq})`,
      `Keep its events for a report: ksi logs ${taskId} -o jsonl`,
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

/** An open task stands in the queue: its run goes only after its outcome is stored. */
async function* checkLost(broker: Broker, seen: Invariants, now: number): AsyncGenerator<Finding> {
  const lost: string[] = [];
  let open = 0;
  for (const { taskId, sessionId, at } of seen.open()) {
    open++;
    if (now - Date.parse(at) < GRACE_MS) continue;
    // In this order: whatever has left the queue has its outcome by the second look.
    if ((await placeOf(broker, { taskId, sessionId })) !== undefined) continue;
    const { status, seq } = await lastState(broker, taskId);
    if (seq > 0 && !isEnded(status)) lost.push(taskId);
  }
  yield lost.length === 0
    ? ok('open tasks', `${open}, each in the queue`)
    : failed(
        'open tasks',
        `${lost.length} of ${open} stand nowhere in the queue: ${lost.slice(0, SHOWN).join(', ')}`,
        'They would never end: cancel them (ksi cancel ID) and report it.',
      );
}

async function* checkLeftOver(broker: Broker, seen: Invariants, now: number): AsyncGenerator<Finding> {
  let standing = 0;
  let left = 0;
  const { lastSeq } = await streamPosition(broker, STREAM.commands);
  for await (const stored of readStream(broker, STREAM.commands, SUBJECT.commandsAll, 0, lastSeq)) {
    standing++;
    const ended = seen.endOf(stored.header(HEADER.taskId));
    if (ended !== undefined && now - Date.parse(ended) > GRACE_MS) left++;
  }
  yield left === 0
    ? ok('queue', `${standing} tasks stand in it, none that has ended`)
    : warning(
        'queue',
        `${left} of ${standing} that stand in it have ended`,
        'A worker takes them off when they are delivered: is one there? ksi workers',
      );
}
