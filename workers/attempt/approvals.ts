import { isDeepStrictEqual } from 'node:util';
import type { CanUseTool, PermissionResult } from '@anthropic-ai/claude-agent-sdk';
import type { ApprovalAnswer, ApprovalResolved } from '../../contracts/tasks/approvals.js';
import type { ControlAnswer } from '../../contracts/tasks/control.js';
import type { Clock } from '../../src/clock.js';
import type { Redaction } from '../claude/redaction.js';
import type { AttemptEvents } from './events.js';
import { EXIT_PLAN, type PlanTracker } from './plan-tracker.js';
import { QUESTION, answerFault } from './questions.js';
import type { ClaudeTools } from '../claude/tools.js';
import { defined } from '../../src/defined.js';

interface Pending {
  readonly tool: string;
  readonly input: Record<string, unknown>;
  /** Called exactly once. */
  readonly settle: (result: PermissionResult) => void;
}

export interface ApprovalsOptions {
  readonly taskId: string;
  readonly attempt: number;
  readonly timeoutMs: number;
  readonly events: Pick<AttemptEvents, 'approvalRequested' | 'approvalResolved'>;
  readonly clock: Pick<Clock, 'now' | 'after'>;
  readonly tools: Pick<ClaudeTools, 'editFault'>;
  readonly redaction: Pick<Redaction, 'in'>;
  readonly plan: Pick<PlanTracker, 'planText'>;
}

/** Denial of ExitPlanMode when there is no plan to show. */
const NO_PLAN = 'Nobody can approve a plan that is not shown. Write the plan into the plan file, then ask again.';

/**
 * The approval requests of one attempt. This process alone decides them, so the first answer wins; events publish the requests and the
 * decisions. Pending requests end with the attempt. A later attempt requests approval again.
 */
export class Approvals {
  readonly #options: ApprovalsOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #answered = new Set<string>();
  #requests = 0;

  constructor(options: ApprovalsOptions) {
    this.#options = options;
  }

  /** Publishes an approval request and waits for the answer until the timeout. */
  readonly ask: CanUseTool = (tool, input, { signal, title, description, decisionReason }) => {
    const { taskId, attempt, timeoutMs, events, clock, redaction, plan } = this.#options;
    const planText = tool === EXIT_PLAN ? plan.planText(input) : undefined;
    if (tool === EXIT_PLAN && planText === undefined) return Promise.resolve(deny(NO_PLAN));
    const id = `${taskId}.${attempt}.${++this.#requests}`;
    const summary = title ?? description;
    events.approvalRequested({
      approval_id: id,
      kind: KINDS[tool] ?? 'tool',
      tool,
      input: redaction.in(planText === undefined ? input : { ...input, plan: planText }),
      ...(summary === undefined ? {} : { title: redaction.in(summary) }),
      ...(decisionReason === undefined ? {} : { reason: redaction.in(decisionReason) }),
      expires_at: new Date(clock.now() + timeoutMs).toISOString(),
    });
    return new Promise((resolve) => {
      const expire = (): void => this.#byItself(id, 'expired', `Nobody allowed ${tool} within ${timeoutMs / 1_000} s.`);
      const withdraw = (): void => this.#byItself(id, 'withdrawn', 'The request was withdrawn.');
      const forget = clock.after(timeoutMs, expire);
      const settle = (result: PermissionResult): void => {
        forget();
        signal.removeEventListener('abort', withdraw);
        resolve(result);
      };
      this.#pending.set(id, { tool, input, settle });
      signal.addEventListener('abort', withdraw, { once: true });
      if (signal.aborted) withdraw();
    });
  };

  /** Denies all pending requests. Call it when the attempt has ended. */
  stop(): void {
    for (const { settle } of this.#pending.values()) settle(deny('The attempt has ended.'));
    this.#pending.clear();
  }

  /** Resolves when the decision is stored. @throws {Stopped} when the attempt has lost its lease. */
  async answer(id: string, answer: ApprovalAnswer, by?: string, rule?: string): Promise<ControlAnswer> {
    const pending = this.#pending.get(id);
    if (pending === undefined) return { ok: false, error: this.#answered.has(id) ? 'answered' : 'unknown_approval' };
    const nothing = answerFault(pending.tool, pending.input, answer);
    if (nothing !== undefined) return { ok: false, error: 'no_answer', detail: nothing };
    const { decision, message } = answer;
    if (decision === 'deny') {
      await this.#resolve(id, 'deny', deny(message ?? 'The user does not want this.'), by);
      return { ok: true };
    }
    const input = inputOf(pending, answer);
    const { tools } = this.#options;
    const why = isDeepStrictEqual(input, pending.input) ? undefined : tools.editFault(pending.tool, input);
    if (why !== undefined) return { ok: false, error: 'not_allowed', detail: why };
    const updatedPermissions = modeOf(pending.tool, answer);
    await this.#resolve(id, 'allow', { behavior: 'allow', updatedInput: input, ...updatedPermissions }, by, rule);
    return { ok: true };
  }

  #byItself(id: string, decision: 'expired' | 'withdrawn', why: string): void {
    // Fenced, or the lease is lost: another process reports the attempt's end.
    this.#resolve(id, decision, deny(why)).catch(() => undefined);
  }

  async #resolve(
    id: string,
    decision: ApprovalResolved['decision'],
    result: PermissionResult,
    by?: string,
    rule?: string,
  ): Promise<void> {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#answered.add(id);
    try {
      await this.#options.events.approvalResolved(
        defined({
          approval_id: id,
          decision,
          by,
          rule_id: rule,
          ...(result.behavior === 'deny' ? { message: result.message } : {}),
        }),
      );
    } catch (error) {
      // An attempt that has lost its task must not act.
      pending.settle(deny('The attempt has ended.'));
      throw error;
    }
    // Only now: Claude may act only after the decision is stored.
    pending.settle(result);
  }
}

const KINDS: Readonly<Record<string, 'question' | 'plan'>> = { [QUESTION]: 'question', [EXIT_PLAN]: 'plan' };

/** Without this, Claude leaves plan mode for the default mode. */
const modeOf = (
  tool: string,
  { permission_mode: mode }: ApprovalAnswer,
): Pick<Extract<PermissionResult, { behavior: 'allow' }>, 'updatedPermissions'> =>
  tool === EXIT_PLAN && mode !== undefined
    ? { updatedPermissions: [{ type: 'setMode', mode, destination: 'session' }] }
    : {};

const deny = (message: string): PermissionResult => ({ behavior: 'deny', message });

const inputOf = (pending: Pending, { input, answers }: ApprovalAnswer): Record<string, unknown> => {
  const given = input ?? pending.input;
  return answers === undefined ? given : { ...given, answers };
};
