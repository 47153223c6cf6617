import type { Task } from '../../../contracts/tasks/task.js';
import type { Broker } from '../../broker/connect.js';
import { lastState, type LastState } from '../../broker/task-states.js';

/**
 * The last state of a task. The read model keeps outcomes longer than the broker keeps events, so an ended task is not looked up at the
 * broker. @throws {BrokerError}
 */
export const stateOf = async (broker: Broker, { task_id: id, status, ended_at }: Task): Promise<LastState> =>
  ended_at === undefined ? lastState(broker, id) : { status, seq: 0, id: '', data: undefined };
