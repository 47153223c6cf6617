import type { Logger } from 'pino';
import { uuidv7 } from '../../uuid.js';
import type { Approval } from '../../../contracts/tasks/approvals.js';
import {
  APPROVAL_RULES,
  type Always,
  type ApprovalRule,
  type ApprovalRulesQuery,
} from '../../../contracts/tasks/approval-rules.js';
import type { OwnedKey } from '../../../contracts/wire/record-kind.js';
import type { Broker } from '../../broker/connect.js';
import type { KvCache } from '../../broker/kv-cache.js';
import { Records } from '../../broker/records.js';
import { sleep, timestampOf } from '../../clock.js';
import { ApiError, apiErrorOf, withApiErrors, invalid } from '../../errors/api-error.js';
import type { Page } from '../../../contracts/wire/page.js';
import { createdWithin, pageOfAll } from '../../lists/page.js';
import { listedOwner, type Principal } from '../../access/principal.js';
import type { TokenRegistry } from '../../access/tokens/registry.js';
import { ruleApplies, proposedRule } from './rule-matching.js';

const ADD_TRIES = 3;
const ADD_PAUSE_MS = 500;

/**
 * Rules by which owners allow repeated tool uses. A rule is valid as long as the token that created it. Rules are found in memory and
 * checked at the leader before each use, so a rule that was revoked at any API allows nothing more.
 */
export class ApprovalRules {
  readonly #records: Records<typeof ApprovalRule, OwnedKey>;
  readonly #cache: KvCache<ApprovalRule>;
  readonly #tokens: Pick<TokenRegistry, 'isValid'>;
  readonly #clock: Broker['clock'];

  constructor(broker: Broker, tokens: Pick<TokenRegistry, 'isValid'>, log: Logger) {
    this.#clock = broker.clock;
    this.#tokens = tokens;
    this.#records = new Records(broker, APPROVAL_RULES, log);
    this.#cache = this.#records.watch({ of: (rule) => rule, log });
  }

  /** Resolves once all rules are known. @throws {BrokerError} */
  start(): Promise<void> {
    return this.#cache.start();
  }

  stop(): Promise<void> {
    return this.#cache.stop();
  }

  /** Calls `listener` with each rule that any API adds from now on. @returns a function that unsubscribes. */
  onAdded(listener: (rule: ApprovalRule) => void): () => void {
    return this.#cache.onChange(({ before, now }) => {
      if (before === undefined && now !== undefined) listener(now);
    });
  }

  /** Valid rules, oldest first. @throws {ApiError} invalid_cursor, forbidden */
  async page(query: ApprovalRulesQuery, principal: Principal): Promise<Page<ApprovalRule>> {
    const owner = listedOwner(principal, query.owner ?? principal.owner) ?? principal.owner;
    return withApiErrors(async () => {
      const rules = (await this.#records.all([owner])).map(({ record }) => record);
      const hold = await Promise.all(rules.map(({ token_id: token }) => this.#tokens.isValid(token)));
      const wanted = rules.filter(({ created_at: created }, n) => hold[n] && createdWithin(created, query));
      return pageOfAll('approval_rules', wanted, ({ created_at: created, rule_id: id }) => `${created} ${id}`, query);
    });
  }

  /** The rule that an answer creates. Stores nothing. @throws {ApiError} invalid_request */
  ruleOf(always: Always, approval: Approval, { owner: by, tokenId }: Principal): ApprovalRule {
    const proposed = proposedRule(always, approval);
    if ('field' in proposed) throw invalid([proposed]);
    const { scope } = always;
    const { owner, approval_id, session_id, agent_id } = approval;
    return {
      rule_id: uuidv7(),
      owner,
      scope,
      ...(scope === 'session' ? { session_id } : {}),
      ...(scope === 'agent' ? { agent_id } : {}),
      rule: proposed.rule,
      approval_id,
      by,
      token_id: tokenId,
      created_at: timestampOf(this.#clock),
    };
  }

  /** Retries transient failures. @throws {ApiError} too_many */
  async add(rule: ApprovalRule): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        // The id is new, so an existing record is from an earlier try.
        await withApiErrors(() => this.#records.put([rule.owner, rule.rule_id], rule, 0));
        return;
      } catch (error) {
        if (tries >= ADD_TRIES || !apiErrorOf(error).transient) throw error;
      }
      await sleep(this.#clock, ADD_PAUSE_MS);
    }
  }

  /** @throws {ApiError} not_found */
  async remove(id: string, { owner }: Principal): Promise<void> {
    if (!(await withApiErrors(() => this.#records.remove([owner, id]))))
      throw new ApiError('not_found', `There is no approval rule ${id}`);
  }

  /** A valid rule that allows the tool use. @throws {BrokerError} */
  async find(approval: Approval): Promise<ApprovalRule | undefined> {
    for (const [, { value: rule }] of this.#cache.entries())
      if (ruleApplies(rule, approval) && (await this.#holds(rule))) return rule;
    return undefined;
  }

  /** Deletes the rules whose tokens have ended. @returns how many. @throws {BrokerError} */
  async removeEnded(): Promise<number> {
    let removed = 0;
    for (const [, { value: rule, revision }] of this.#cache.entries()) {
      if (await this.#tokens.isValid(rule.token_id)) continue;
      if ((await this.#records.removeAt([rule.owner, rule.rule_id], revision)) !== undefined) removed++;
    }
    return removed;
  }

  async #holds({ owner, rule_id: id, token_id: token }: ApprovalRule): Promise<boolean> {
    return (await this.#tokens.isValid(token)) && (await this.#records.entry([owner, id])).exists;
  }

  /** Deletes the rules of deleted sessions. @throws {BrokerError} */
  removeOfSessions(sessionIds: ReadonlySet<string>, owner: string): Promise<void> {
    return this.#removeAll(owner, ({ session_id: id }) => id !== undefined && sessionIds.has(id));
  }

  /** Deletes the rules of a deleted agent, because another agent may get its id. @throws {BrokerError} */
  removeOfAgent(agentId: string, owner: string): Promise<void> {
    return this.#removeAll(owner, (rule) => rule.agent_id === agentId);
  }

  async #removeAll(owner: string, matches: (rule: ApprovalRule) => boolean): Promise<void> {
    for (const { id, record, revision } of await this.#records.all([owner]))
      if (matches(record)) await this.#records.removeAt([owner, id], revision);
  }

  /** Deletes all rules of an owner. @throws {BrokerError} */
  async purge(owner: string): Promise<void> {
    // A purge causes no change events, so the other APIs would keep the rules in memory.
    await this.#removeAll(owner, () => true);
    await this.#records.purge([owner]);
  }
}
