import { Usage } from '../../contracts/access/usage.js';
import type { EventData } from '../../contracts/events/events.js';
import { check } from '../../contracts/wire/check.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { eventIn } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { transition } from '../../src/broker/task-states.js';
import type { JournaledRun } from './journal.js';

/**
 * Ends an attempt that its worker did not end itself, with the usage from its stored events. From then on the broker refuses the attempt's
 * events.
 * @param workerId of the worker that reports the loss
 * @returns the sequence of the new state event, or undefined if the task's state is no longer the attempt's start
 * @throws {BrokerError} or the signal's reason
 */
export async function endLostAttempt(
  broker: Broker,
  { identity, attempt, startSeq }: Pick<JournaledRun, 'identity' | 'attempt' | 'startSeq'>,
  reason: EventData<'SPAWN_RETRY'>['reason'],
  workerId: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  const usage = await retryWhileUnavailable(broker, signal, () => lostUsage(broker, identity.task_id, startSeq));
  const data = { ...identity, attempt, reason, worker_id: workerId, counted: false, ...(usage && { usage }) };
  return (await transition(broker, { status: 'running', seq: startSeq }, 'retrying', data, { signal }))?.seq;
}

/** The running sum that the attempt's last message carries. Tokens reported after that message are not known. */
async function lostUsage(broker: Broker, taskId: string, startSeq: number): Promise<Usage | undefined> {
  const last = await lastBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId));
  if (last === undefined || last.seq <= startSeq) return undefined;
  const { usage } = (eventIn(last.data)?.data ?? {}) as { usage?: unknown };
  const checked = check(Usage, usage);
  return checked.ok ? { ...checked.value, estimated: true } : undefined;
}
