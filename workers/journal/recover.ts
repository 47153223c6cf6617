import type { Logger } from 'pino';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfEvent } from '../../contracts/tasks/states.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { giveBackBy } from '../../src/broker/consume.js';
import { lastBySubject } from '../../src/broker/read.js';
import { lastState, type LastState } from '../../src/broker/task-states.js';
import { fitting } from './fitting.js';
import type { OutboxItem } from './outbox.js';
import { publishCertainly, whileUnavailable } from '../../src/broker/certain.js';
import type { Held, Journal } from './journal.js';
import { endLostAttempt } from './lost-attempt.js';

export interface RecoverOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly workerId: string;
  readonly log: Logger;
  /** Ends what can't be done as the broker is away; by then the lease has brought the tasks elsewhere. */
  readonly signal: AbortSignal;
}

/**
 * Ends what a dead worker of this host left open: stores the events that it had not delivered, an outcome among them,
 * and gives its other tasks back at once. Only while the dead attempt's own start is the task's last state.
 * @param journal of the dead worker, whose processes are gone already.
 */
export async function recover(journal: Pick<Journal, 'held' | 'undelivered'>, options: RecoverOptions): Promise<void> {
  for (const held of journal.held())
    await recoverTask(held, journal.undelivered(held.startId), {
      ...options,
      log: options.log.child({ task_id: held.identity.task_id }),
    });
}

async function recoverTask(held: Held, undelivered: readonly OutboxItem[], options: RecoverOptions): Promise<void> {
  const { broker, log, signal } = options;
  const { identity, startId, reply } = held;
  const { task_id: taskId } = identity;
  const last = await whileUnavailable(broker, signal, () => lastState(broker, taskId));
  const how = last.id === startId ? await finishOutbox(held, undelivered, options) : endOf(last, undelivered);
  if (how === undefined) {
    log.info("a task of a dead worker of this host is another one's by now");
    return;
  }
  giveBackBy(broker.nc, reply);
  log.info({ how }, 'a task of a dead worker of this host is given back');
}

type Recovered = 'ended' | 'given_back';

/** For a task whose last state is not the dead attempt's start: only the release of its run may be missing. */
const endOf = ({ id, status }: LastState, undelivered: readonly OutboxItem[]): Recovered | undefined =>
  isEnded(status) || undelivered.some(({ event }) => event.id === id) ? 'ended' : undefined;

/** Stores what is missing, and that the worker was lost unless an end of the attempt was among it. */
async function finishOutbox(
  held: Held,
  undelivered: readonly OutboxItem[],
  options: RecoverOptions,
): Promise<Recovered | undefined> {
  const { broker, workerId, signal } = options;
  const {
    identity: { task_id: taskId },
    startSeq,
  } = held;
  const expect = { filter: SUBJECT.taskStates(taskId), seq: startSeq };
  const output = await whileUnavailable(broker, signal, () =>
    lastBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId)),
  );
  // Delivered already, though the journal did not come to note it.
  const stored = undelivered.findIndex(({ event }) => event.id === output?.header(HEADER.msgId));
  for (const item of undelivered.slice(stored + 1)) {
    const publication = await fitting(item, taskId, options, signal);
    const isState = statusOfEvent(item.event.type) !== undefined;
    const msgId = item.event.id;
    const seq = await publishCertainly(broker, STREAM.events, { ...publication, msgId, expect }, signal);
    if (seq === undefined) return undefined;
    if (isState) return 'ended';
  }
  const ended = await endLostAttempt(broker, held, 'worker_lost', workerId, signal);
  return ended === undefined ? undefined : 'given_back';
}
