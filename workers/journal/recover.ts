import type { Logger } from 'pino';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { isEnded, statusOfEvent, statusOfSubject, TASK_STATES } from '../../contracts/tasks/states.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { giveBackBy } from '../../src/broker/consume.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { fitting } from '../attempt/fitting.js';
import type { OutboxItem } from '../attempt/outbox.js';
import { publishCertainly, whileUnavailable } from '../certain.js';
import type { Held, Journal } from './journal.js';

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
  const last = await whileUnavailable(broker, signal, () =>
    lastBySubject(broker, STREAM.events, SUBJECT.taskStates(taskId)),
  );
  const lastId = last?.header(HEADER.msgId);
  const how =
    lastId === startId ? await finishOutbox(held, undelivered, options) : endOf(last?.subject, lastId, undelivered);
  if (how === undefined) {
    log.info("a task of a dead worker of this host is another one's by now");
    return;
  }
  giveBackBy(broker.nc, reply);
  log.info({ how }, 'a task of a dead worker of this host is given back');
}

type Recovered = 'ended' | 'given_back';

/** Its last state is not its start: whether it is an end by the dead attempt, or of the task, that wants only its release. */
function endOf(
  subject: string | undefined,
  lastId: string | undefined,
  undelivered: readonly OutboxItem[],
): Recovered | undefined {
  if (undelivered.some(({ event }) => event.id === lastId)) return 'ended';
  const status = subject === undefined ? undefined : statusOfSubject(subject);
  return status !== undefined && isEnded(status) ? 'ended' : undefined;
}

/** Stores what is missing, and that the worker was lost unless an end of the attempt was among it. */
async function finishOutbox(
  held: Held,
  undelivered: readonly OutboxItem[],
  options: RecoverOptions,
): Promise<Recovered | undefined> {
  const { broker, workerId, signal } = options;
  const { identity, attempt, startSeq } = held;
  const { task_id: taskId } = identity;
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
  const reason = 'worker_lost' as const;
  const retry = newEvent(broker.clock, 'SPAWN_RETRY', {
    ...identity,
    attempt,
    reason,
    worker_id: workerId,
    counted: false,
  });
  const subject = SUBJECT.taskState(taskId, TASK_STATES.retrying.token);
  const publication = { ...eventPublication(retry, subject, expect), msgId: retry.id, expect };
  return (await publishCertainly(broker, STREAM.events, publication, signal)) === undefined ? undefined : 'given_back';
}
