import type { ControlAnswer, ControlRequest, ControlVerb } from '../../../contracts/tasks/control.js';
import type { Task } from '../../../contracts/tasks/task.js';
import { isEnded } from '../../../contracts/tasks/states.js';
import type { Broker } from '../../broker/connect.js';
import { dataIn } from '../../broker/task-states.js';
import { ApiError, apiErrorOf } from '../../errors/api-error.js';
import { stateOf } from './shown-state.js';
import { requestWorker } from './worker-request.js';

/**
 * Sends a request to the running attempt of a task.
 * @returns the worker's answer, which may be a refusal. @throws {ApiError} task_ended, not_running, worker_unreachable
 */
export async function requestAttempt<V extends ControlVerb>(
  broker: Broker,
  task: Task,
  verb: V,
  request: ControlRequest<V>,
): Promise<ControlAnswer> {
  const { task_id: taskId } = task;
  try {
    const state = await stateOf(broker, task);
    const { status } = state;
    if (isEnded(status)) throw new ApiError('task_ended', `Task ${taskId} is ${status}`);
    if (status !== 'running') throw new ApiError('not_running', `Task ${taskId} is ${status}`);
    const answer = await requestWorker(broker, { process: dataIn(state, 'running').process, taskId }, verb, request);
    if (answer === undefined) throw new ApiError('worker_unreachable', `No worker answers for task ${taskId}`);
    return answer;
  } catch (error) {
    throw apiErrorOf(error);
  }
}
