import type { Logger } from 'pino';
import type { Approval } from '../../../contracts/tasks/approvals.js';
import type { Broker } from '../../broker/connect.js';
import { dataIn, lastState } from '../../broker/task-states.js';
import { sleep } from '../../clock.js';
import { RETRY_MS } from '../../retry.js';
import type { EventHub } from '../../events/hub.js';
import type { Audit } from '../../access/audit.js';
import { requestWorker } from '../steer/worker-request.js';
import type { PendingApprovals } from './pending.js';
import { ruleApplies } from './rule-matching.js';
import type { ApprovalRules } from './rules.js';

export interface RuleResponderOptions {
  readonly broker: Broker;
  readonly hub: Pick<EventHub, 'subscribe'>;
  readonly pending: Pick<PendingApprovals, 'list'>;
  readonly rules: Pick<ApprovalRules, 'find' | 'onAdded'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Logger;
}

/** Answers approvals by rules. Every API does so; the task's worker takes the first answer, and only that one is audited. */
export class RuleResponder {
  readonly #options: RuleResponderOptions;
  readonly #stopping = new AbortController();
  readonly #answering = new Set<Promise<void>>();
  #unsubscribes: readonly (() => void)[] = [];

  constructor(options: RuleResponderOptions) {
    this.#options = options;
  }

  /** Call it after `PendingApprovals` and `ApprovalRules` have started. */
  start(): void {
    const { hub, rules, pending } = this.#options;
    this.#unsubscribes = [
      hub.subscribe(({ type, timestamp, data }) => {
        if (type === 'APPROVAL_REQUESTED') this.#consider({ ...data, requested_at: timestamp } as unknown as Approval);
      }),
      rules.onAdded((rule) => {
        for (const approval of pending.list()) if (ruleApplies(rule, approval)) this.#consider(approval);
      }),
    ];
    for (const approval of pending.list()) this.#consider(approval);
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#stopping.abort();
    await Promise.all(this.#answering);
  }

  #consider(approval: Approval): void {
    if (approval.kind !== 'tool') return;
    const answering = this.#answer(approval)
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        this.#options.log.warn(
          { err: error, approval_id: approval.approval_id },
          'could not answer an approval by a rule; a person can still answer it',
        );
      })
      .finally(() => this.#answering.delete(answering));
    this.#answering.add(answering);
  }

  async #answer(approval: Approval): Promise<void> {
    const { broker, rules, audit } = this.#options;
    const { approval_id: id, task_id: taskId } = approval;
    for (;;) {
      // The rule may have been revoked since the last try.
      const rule = await rules.find(approval);
      if (rule === undefined) return;
      const { by, rule_id: ruleId, token_id: tokenId } = rule;
      const state = await lastState(broker, taskId);
      if (state.status !== 'running') return;
      const { process } = dataIn(state, 'running');
      const request = { by, approval_id: id, decision: 'allow', rule_id: ruleId } as const;
      const answer = await requestWorker(broker, { process, taskId }, 'approve', request);
      if (answer?.ok === true) {
        const entry = { owner: by, token_id: tokenId, verb: 'approve', target: id, result: 'ok' };
        audit.record({ ...entry, over: 'rule', rule_id: ruleId, rule: rule.rule, task_id: taskId });
        return;
      }
      // Retry only if the worker did not answer. The approval stays open until it does.
      if (answer !== undefined) return;
      await sleep(broker.clock, RETRY_MS.background, this.#stopping.signal);
    }
  }
}
