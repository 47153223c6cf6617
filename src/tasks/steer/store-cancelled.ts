import type { EventData } from '../../../contracts/events/events.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import { TASK_STATES } from '../../../contracts/tasks/states.js';
import type { Broker } from '../../broker/connect.js';
import { isBrokerError } from '../../broker/errors.js';
import { eventPublication, newEvent } from '../../broker/events.js';
import type { TaskIdentity } from '../accept/not-accepted.js';
import { identityOf } from '../accept/prepared.js';

/**
 * Gives a task the outcome SPAWN_CANCELLED over the state of the sequence `seq`.
 * @returns false when the task's state has changed meanwhile. @throws {BrokerError}
 */
export async function storeCancelled(
  broker: Broker,
  task: TaskIdentity,
  seq: number,
  why: Pick<EventData<'SPAWN_CANCELLED'>, 'reason' | 'by'>,
): Promise<boolean> {
  const event = newEvent(broker.clock, 'SPAWN_CANCELLED', { ...identityOf(task), ...why });
  const expect = { filter: SUBJECT.taskStates(task.task_id), seq };
  const subject = SUBJECT.taskState(task.task_id, TASK_STATES.cancelled.token);
  try {
    await broker.publisher.publish(eventPublication(event, subject, expect));
    return true;
  } catch (error) {
    if (!isBrokerError(error, 'conflict')) throw error;
    return false;
  }
}
