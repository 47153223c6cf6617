import { errors } from '@nats-io/transport-node';
import { check } from '../../../contracts/wire/check.js';
import { ControlAnswer, type ControlRequest, type ControlVerb } from '../../../contracts/tasks/control.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { BrokerError } from '../../broker/errors.js';
import { parseJson } from '../../json.js';

/** A worker answers from memory or after one publication. For `cancel` it also waits for Claude's usage. A slower worker counts as hung. */
const timeoutMs = (verb: ControlVerb): number => (verb === 'cancel' ? 600 : 500);

/**
 * Sends a request to the worker that runs a task.
 * @param running.process as the task's SPAWN_START names it.
 * @returns undefined if no worker answers: it is gone, hung, not listening yet, or unknown.
 * @throws {BrokerError}
 */
export async function requestWorker<V extends ControlVerb>(
  broker: Broker,
  { process, taskId }: { process: string | undefined; taskId: string },
  verb: V,
  request: ControlRequest<V>,
): Promise<ControlAnswer | undefined> {
  if (process === undefined) return undefined;
  const subject = SUBJECT.control(process, taskId, verb);
  try {
    const reply = await broker.nc.request(subject, JSON.stringify(request), { timeout: timeoutMs(verb) });
    const answer = check(ControlAnswer, parseJson(reply.data));
    return answer.ok ? answer.value : { ok: false, error: 'not_running' };
  } catch (error) {
    if (error instanceof errors.TimeoutError || isNoResponders(error)) return undefined;
    throw new BrokerError('unavailable', 'The worker could not be asked over the broker', { cause: error });
  }
}

/** Not a real verb: an attempt answers that it is unknown, which shows that the attempt is alive. */
const ARE_YOU_THERE = 'are_you_there';

/** Whether an attempt of the task may be running. A hung worker counts. @throws {BrokerError} */
export async function mayRun(
  broker: Broker,
  { process, taskId }: { process: string | undefined; taskId: string },
): Promise<boolean> {
  if (process === undefined) return false;
  try {
    await broker.nc.request(SUBJECT.control(process, taskId, ARE_YOU_THERE), '', { timeout: 500 });
    return true;
  } catch (error) {
    if (isNoResponders(error)) return false;
    if (error instanceof errors.TimeoutError) return true;
    throw new BrokerError('unavailable', 'The worker could not be asked over the broker', { cause: error });
  }
}

const isNoResponders = (error: unknown): boolean =>
  error instanceof errors.NoRespondersError || (error instanceof errors.RequestError && error.isNoResponders());
