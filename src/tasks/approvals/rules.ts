import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
import type { Approval } from '../../../contracts/tasks/approvals.js';
import { APPROVAL_RULES, type Always, type ApprovalRule } from '../../../contracts/tasks/approval-rules.js';
import type { OwnedKey } from '../../../contracts/wire/record-kind.js';
import type { Broker } from '../../broker/connect.js';
import { Records } from '../../broker/records.js';
import { timestampOf } from '../../clock.js';
import { ApiError, guarded, invalid } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import { applies, ruleFor } from './match.js';

/** By which owners allow again what they have allowed once. */
export class ApprovalRules {
  readonly #records: Records<typeof ApprovalRule, OwnedKey>;
  readonly #clock: Broker['clock'];

  constructor(broker: Broker, log: Logger) {
    this.#clock = broker.clock;
    this.#records = new Records(broker, APPROVAL_RULES, log);
  }

  /** Oldest first. @throws {ApiError} */
  async list({ owner }: Principal): Promise<ApprovalRule[]> {
    return (await guarded(() => this.#records.all([owner]))).map(({ record }) => record);
  }

  /** The rule that an answer to an approval is to make; nothing is stored. @throws {ApiError} invalid_request */
  ruleOf(always: Always, approval: Approval, { owner: by, tokenId }: Principal): ApprovalRule {
    const made = ruleFor(always, approval);
    if ('field' in made) throw invalid([made]);
    const { scope } = always;
    const { owner, approval_id, session_id, agent_id } = approval;
    return {
      rule_id: uuidv7(),
      owner,
      scope,
      ...(scope === 'session' ? { session_id } : {}),
      ...(scope === 'agent' ? { agent_id } : {}),
      rule: made.rule,
      approval_id,
      by,
      token_id: tokenId,
      created_at: timestampOf(this.#clock),
    };
  }

  /** @throws {ApiError} too_many */
  async add(rule: ApprovalRule): Promise<void> {
    await guarded(() => this.#records.put([rule.owner, rule.rule_id], rule, 0));
  }

  /** @throws {ApiError} not_found */
  async remove(id: string, { owner }: Principal): Promise<void> {
    if (!(await guarded(() => this.#records.remove([owner, id]))))
      throw new ApiError('not_found', `There is no rule ${id}`);
  }

  /** The first rule that allows what is asked. @throws {BrokerError} */
  async find(approval: Approval): Promise<ApprovalRule | undefined> {
    const held = await this.#records.all([approval.owner]);
    return held.map(({ record }) => record).find((rule) => applies(rule, approval));
  }

  /** Deletes the rules for sessions that are deleted. @throws {BrokerError} */
  removeOfSessions(sessionIds: ReadonlySet<string>, owner: string): Promise<void> {
    return this.#removeAll(owner, ({ session_id: id }) => id !== undefined && sessionIds.has(id));
  }

  /** Deletes the rules for an agent that is removed: another one may get its id. @throws {BrokerError} */
  removeOfAgent(agentId: string, owner: string): Promise<void> {
    return this.#removeAll(owner, (rule) => rule.agent_id === agentId);
  }

  async #removeAll(owner: string, matches: (rule: ApprovalRule) => boolean): Promise<void> {
    for (const { id, record, revision } of await this.#records.all([owner]))
      if (matches(record)) await this.#records.removeAt([owner, id], revision);
  }

  /** Deletes all that an owner has. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return this.#records.purge([owner]);
  }
}
