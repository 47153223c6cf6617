import type { Approval, ApprovalAnswer, ApprovalResolved } from '../../../contracts/approvals.js';
import type { ControlAnswer } from '../../../contracts/control.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError, invalid } from '../api-error.js';
import { maySee, type Principal } from '../principal.js';
import { askRunning } from '../steer/running.js';
import type { TaskReader } from '../task-reader.js';
import type { PendingApprovals } from './pending.js';

/** What Claude wants to be allowed in the tasks that a principal may see, and the answers to it. */
export class ApprovalDesk {
  readonly #broker: Broker;
  readonly #tasks: Pick<TaskReader, 'task'>;
  readonly #pending: PendingApprovals;

  constructor(broker: Broker, tasks: Pick<TaskReader, 'task'>, pending: PendingApprovals) {
    this.#broker = broker;
    this.#tasks = tasks;
    this.#pending = pending;
  }

  list(principal: Principal): Approval[] {
    return this.#pending.list().filter(({ owner }) => maySee(principal, owner));
  }

  /**
   * Resolves once the decision is stored. The task's worker decides whose answer was the first.
   * @throws {ApiError} already_answered, also when it ended with its attempt; tool_not_allowed; invalid_request
   */
  async answer(id: string, answer: ApprovalAnswer, principal: Principal): Promise<ApprovalResolved> {
    refuseNonsense(answer);
    const task = await this.#tasks.task(id.slice(0, id.indexOf('.')), principal);
    const told = await askRunning(this.#broker, task, 'approve', {
      by: principal.owner,
      approval_id: id,
      ...answer,
    }).catch((error: unknown) => {
      const over = error instanceof ApiError && (error.code === 'task_ended' || error.code === 'not_running');
      throw over ? new ApiError('already_answered', `${error.message}: nothing is asked any more`) : error;
    });
    if (!told.ok) throw refusalOf(id, told);
    return { approval_id: id, task_id: task.task_id, decision: answer.decision };
  }
}

function refuseNonsense({ decision, input, answers, message, permission_mode: mode }: ApprovalAnswer): void {
  const faults = [];
  if (decision === 'deny' && input !== undefined) faults.push({ field: 'input', message: 'is for `allow`' });
  if (decision === 'deny' && answers !== undefined) faults.push({ field: 'answers', message: 'are for `allow`' });
  if (decision === 'deny' && mode !== undefined) faults.push({ field: 'permission_mode', message: 'is for `allow`' });
  if (decision === 'allow' && message !== undefined) faults.push({ field: 'message', message: 'is for `deny`' });
  if (faults.length > 0) throw invalid(faults);
}

function refusalOf(id: string, { error, why }: Extract<ControlAnswer, { ok: false }>): ApiError {
  if (error === 'not_allowed') return new ApiError('tool_not_allowed', why ?? 'A policy does not allow this input');
  if (error === 'no_answer') return invalid([{ field: 'answers', message: why ?? 'are not to what is asked' }]);
  if (error === 'not_running')
    return new ApiError('already_answered', 'The attempt that asked has lost its task; the next one asks again');
  if (error === 'unknown_approval')
    return new ApiError('not_found', `Approval ${id} is not asked by the attempt that runs now`);
  return new ApiError('already_answered', `Approval ${id} was answered before`);
}
