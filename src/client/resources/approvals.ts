import type { ApprovalRulePage, ApprovalRulesQuery } from '../../../contracts/tasks/approval-rules.js';
import type {
  ApprovalAnswer,
  ApprovalPage,
  ApprovalResolved,
  ApprovalsQuery,
} from '../../../contracts/tasks/approvals.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** The approvals that tasks with `approvals: true` need. */
export class Approvals extends Resource {
  /** Lists the pending approvals, oldest first. */
  list(query: ApprovalsQuery = {}, options: CallOptions = {}): Listing<ApprovalPage> {
    return listing(this.transport, 'approvals', query, options);
  }

  /** Lists the rules that allow tool calls without an approval. An answer with `always` creates a rule. */
  rules(query: ApprovalRulesQuery = {}, options: CallOptions = {}): Listing<ApprovalRulePage> {
    return listing(this.transport, 'approval_rules', query, options);
  }

  /** Revokes an approval rule. @throws {KsiError} `not_found` */
  async revoke(ruleId: string, options: CallOptions = {}): Promise<void> {
    await this.transport.call('approval_rule_delete', { id: ruleId }, options);
  }

  /** Allows or denies a tool call. The first answer counts. @throws {KsiError} `already_answered` */
  answer(id: string, answer: ApprovalAnswer, options: CallOptions = {}): Promise<ApprovalResolved> {
    return this.transport.call('approve', { id, ...answer }, options);
  }
}
