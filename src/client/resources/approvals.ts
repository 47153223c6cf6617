import type { ApprovalRulePage, ApprovalRulesQuery } from '../../../contracts/tasks/approval-rules.js';
import type {
  ApprovalAnswer,
  ApprovalPage,
  ApprovalResolved,
  ApprovalsQuery,
} from '../../../contracts/tasks/approvals.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** What Claude wants to be allowed, in tasks that were spawned with `approvals: true`. */
export class Approvals {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Those that are open now, those asked first first. */
  list(query: ApprovalsQuery = {}, options: CallOptions = {}): Listing<ApprovalPage> {
    return listing(this.#transport, 'approvals', query, options);
  }

  /** What is allowed without asking again, by answers with `always`. */
  rules(query: ApprovalRulesQuery = {}, options: CallOptions = {}): Listing<ApprovalRulePage> {
    return listing(this.#transport, 'approval_rules', query, options);
  }

  /** Revokes a rule. @throws {KsiError} `not_found` */
  async revoke(ruleId: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.call('approval_rule_delete', { id: ruleId }, options);
  }

  /** Allows or refuses one; the first answer holds. @throws {KsiError} `already_answered` */
  answer(id: string, answer: ApprovalAnswer, options: CallOptions = {}): Promise<ApprovalResolved> {
    return this.#transport.call('approve', { id, ...answer }, options);
  }
}
