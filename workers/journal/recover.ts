import type { Logger } from 'pino';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { nakByReply } from '../../src/broker/consume.js';
import { lastBySubject } from '../../src/broker/read.js';
import { lastState, type LastState } from '../../src/broker/task-states.js';
import { withBodyStored } from './large-event.js';
import type { OutboxItem } from './outbox.js';
import { publishUntilKnown, retryWhileUnavailable } from '../../src/broker/until-known.js';
import type { JournaledRun, Journal } from './journal.js';
import { endLostAttempt } from './lost-attempt.js';

export interface RecoverOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly workerId: string;
  readonly log: Logger;
  /** Ends the recovery if the broker is unavailable for longer than the lease. Other workers have the tasks by then. */
  readonly signal: AbortSignal;
}

/**
 * Recovers the tasks of a dead worker of this host: stores the undelivered events, which may include an outcome, and returns the runs to the queue at
 * once. Leaves a task alone if its last state event is not the start of the dead worker's attempt.
 * @param journal of the dead worker. Its processes must have ended
 */
export async function recover(journal: Pick<Journal, 'held' | 'undelivered'>, options: RecoverOptions): Promise<void> {
  for (const held of journal.held())
    await recoverTask(held, journal.undelivered(held.startId), {
      ...options,
      log: options.log.child({ task_id: held.identity.task_id }),
    });
}

async function recoverTask(
  held: JournaledRun,
  undelivered: readonly OutboxItem[],
  options: RecoverOptions,
): Promise<void> {
  const { broker, log, signal } = options;
  const { identity, startId, reply } = held;
  const { task_id: taskId } = identity;
  const last = await retryWhileUnavailable(broker, signal, () => lastState(broker, taskId));
  const how = last.id === startId ? await finishOutbox(held, undelivered, options) : endOf(last, undelivered);
  if (how === undefined) {
    log.info('another worker has already taken over a task of a dead worker of this host');
    return;
  }
  nakByReply(broker.nc, reply);
  log.info({ how }, 'returned the run of a dead worker of this host to the queue');
}

type Recovered = 'ended' | 'given_back';

/** For a task whose last state is not the start of the dead attempt. If the task or the attempt has ended, only the release may be missing. */
const endOf = ({ id, status }: LastState, undelivered: readonly OutboxItem[]): Recovered | undefined =>
  isEnded(status) || undelivered.some(({ event }) => event.id === id) ? 'ended' : undefined;

/** Stores the undelivered events. If none of them ends the attempt, also stores that the worker was lost. */
async function finishOutbox(
  held: JournaledRun,
  undelivered: readonly OutboxItem[],
  options: RecoverOptions,
): Promise<Recovered | undefined> {
  const { broker, workerId, signal } = options;
  const {
    identity: { task_id: taskId },
    startSeq,
  } = held;
  const expect = { filter: SUBJECT.taskStates(taskId), seq: startSeq };
  const output = await retryWhileUnavailable(broker, signal, () =>
    lastBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId)),
  );
  // The dead worker may have delivered events without recording that in its journal.
  const stored = undelivered.findIndex(({ event }) => event.id === output?.header(HEADER.msgId));
  for (const item of undelivered.slice(stored + 1)) {
    const publication = await withBodyStored(item, taskId, options, signal);
    const isState = statusOfEvent(item.event.type) !== undefined;
    const msgId = item.event.id;
    const seq = await publishUntilKnown(broker, STREAM.events, { ...publication, msgId, expect }, signal);
    if (seq === undefined) return undefined;
    if (isState) return 'ended';
  }
  const ended = await endLostAttempt(broker, held, 'worker_lost', workerId, signal);
  return ended === undefined ? undefined : 'given_back';
}
