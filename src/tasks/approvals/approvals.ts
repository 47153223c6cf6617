import type { Approval, ApprovalAnswer, ApprovalResolved, ApprovalsQuery } from '../../../contracts/tasks/approvals.js';
import type { Always, ApprovalRule } from '../../../contracts/tasks/approval-rules.js';
import type { ControlAnswer } from '../../../contracts/tasks/control.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError, apiErrorOf, invalid } from '../../errors/api-error.js';
import type { Audit } from '../../access/audit.js';
import type { Page } from '../../../contracts/wire/page.js';
import { createdWithin, pageOfAll } from '../../lists/page.js';
import { listedOwner, maySee, type Principal } from '../../access/principal.js';
import { requestAttempt } from '../steer/attempt-request.js';
import type { TaskReader } from '../reader.js';
import type { PendingApprovals } from './pending.js';
import type { ApprovalRules } from './rules.js';

interface ApprovalDeskOptions {
  readonly broker: Broker;
  readonly tasks: Pick<TaskReader, 'task'>;
  readonly pending: PendingApprovals;
  readonly rules: ApprovalRules;
  readonly audit: Pick<Audit, 'record'>;
}

/** Lists and answers the approvals of tasks that a principal may see. */
export class Approvals {
  readonly #broker: Broker;
  readonly #tasks: Pick<TaskReader, 'task'>;
  readonly #pending: PendingApprovals;
  readonly #rules: ApprovalRules;
  readonly #audit: Pick<Audit, 'record'>;

  constructor({ broker, tasks, pending, rules, audit }: ApprovalDeskOptions) {
    this.#broker = broker;
    this.#tasks = tasks;
    this.#pending = pending;
    this.#rules = rules;
    this.#audit = audit;
  }

  /** Oldest first. @throws {ApiError} invalid_cursor, forbidden */
  page(query: ApprovalsQuery, principal: Principal): Page<Approval> {
    const owner = listedOwner(principal, query.owner);
    const wanted = this.#pending
      .list()
      .filter((each) => (owner === undefined || each.owner === owner) && createdWithin(each.requested_at, query));
    return pageOfAll('approvals', wanted, ({ requested_at: at, approval_id: id }) => `${at} ${id}`, query);
  }

  /**
   * Resolves once the decision is stored. The task's worker decides which answer was first. If the rule cannot be stored, the answer still
   * counts, and `rule_error` has the reason.
   * @throws {ApiError} already_answered (also if the attempt has ended), tool_not_allowed, invalid_request
   */
  async answer(id: string, { always, ...answer }: ApprovalAnswer, principal: Principal): Promise<ApprovalResolved> {
    refuseNonsense({ ...answer, ...(always && { always }) });
    const task = await this.#tasks.task(id.slice(0, id.indexOf('.')), principal);
    const rule = always === undefined ? undefined : await this.#ruleOf(id, always, principal);
    const workerAnswer = await requestAttempt(this.#broker, task, 'approve', {
      by: principal.owner,
      approval_id: id,
      ...(rule === undefined ? {} : { rule_id: rule.rule_id }),
      ...answer,
    }).catch((error: unknown) => {
      const over = error instanceof ApiError && (error.code === 'task_ended' || error.code === 'not_running');
      throw over ? new ApiError('already_answered', `${error.message}, so the approval is no longer open`) : error;
    });
    if (!workerAnswer.ok) throw refusalOf(id, workerAnswer);
    const resolved = { approval_id: id, task_id: task.task_id, decision: answer.decision };
    if (rule === undefined) return resolved;
    // Last, so that an answer that came too late creates no rule.
    return { ...resolved, ...(await this.#add(rule)) };
  }

  async #add(rule: ApprovalRule): Promise<Pick<ApprovalResolved, 'rule_id' | 'rule_error'>> {
    const { rule_id, token_id, approval_id: target } = rule;
    const error = await this.#rules.add(rule).then(() => undefined, apiErrorOf);
    this.#audit.record({
      owner: rule.by,
      token_id,
      verb: 'approval_rule_create',
      target,
      result: error?.code ?? 'ok',
      over: 'rule',
      rule_id,
      rule: rule.rule,
    });
    return error === undefined ? { rule_id } : { rule_error: { code: error.code, message: error.message } };
  }

  async #ruleOf(id: string, always: Always, principal: Principal): Promise<ApprovalRule> {
    const approval = await this.#pending.find(id);
    if (approval === undefined || !maySee(principal, approval.owner))
      throw new ApiError('already_answered', `Approval ${id} is no longer open`);
    return this.#rules.ruleOf(always, approval, principal);
  }
}

function refuseNonsense({ decision, input, answers, message, always, permission_mode: mode }: ApprovalAnswer): void {
  const faults = [];
  if (decision === 'deny' && input !== undefined) faults.push({ field: 'input', message: 'is only for `allow`' });
  if (decision === 'deny' && answers !== undefined) faults.push({ field: 'answers', message: 'are only for `allow`' });
  if (decision === 'deny' && mode !== undefined)
    faults.push({ field: 'permission_mode', message: 'is only for `allow`' });
  if (always !== undefined && (decision === 'deny' || input !== undefined || answers !== undefined))
    faults.push({ field: 'always', message: 'needs `decision: "allow"`, without `input` and `answers`' });
  if (decision === 'allow' && message !== undefined) faults.push({ field: 'message', message: 'is only for `deny`' });
  if (faults.length > 0) throw invalid(faults);
}

function refusalOf(id: string, { error, detail: why }: Extract<ControlAnswer, { ok: false }>): ApiError {
  if (error === 'not_allowed') return new ApiError('tool_not_allowed', why ?? 'A policy does not allow this input');
  if (error === 'no_answer') return invalid([{ field: 'answers', message: why ?? 'do not match the questions' }]);
  if (error === 'not_running')
    return new ApiError('already_answered', 'The attempt has lost its task. The next attempt asks again');
  if (error === 'unknown_approval') return new ApiError('not_found', `The running attempt has no approval ${id}`);
  return new ApiError('already_answered', `Approval ${id} has already been answered`);
}
