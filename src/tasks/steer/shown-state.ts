import type { Task } from '../../../contracts/tasks/task.js';
import type { Broker } from '../../broker/connect.js';
import { lastState, type LastState } from '../../broker/task-states.js';

/**
 * The last state of a task that the read model shows. The read model keeps an outcome for longer than the broker keeps the events, so a
 * task without events may have ended. @throws {BrokerError}
 */
export const stateOf = async (broker: Broker, { task_id: id, status, ended_at }: Task): Promise<LastState> =>
  ended_at === undefined ? lastState(broker, id) : { status, seq: 0, id: '', data: undefined };
