import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
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
import { ApiError, apiErrorOf, guarded, invalid } from '../../errors/api-error.js';
import type { Page } from '../../../contracts/wire/page.js';
import { createdWithin, pageOfAll } from '../../lists/page.js';
import { listedOwner, type Principal } from '../../access/principal.js';
import type { TokenRegistry } from '../../access/tokens/registry.js';
import { applies, ruleFor } from './match.js';

const ADD_TRIES = 3;
const ADD_PAUSE_MS = 500;

/**
 * By which owners allow again what they have allowed once. A rule holds as long as the token that made it. Rules are found in memory, and
 * read from the leader before they are used: one that was revoked at any API allows nothing more.
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

  /** Calls `listener` with each rule that any API adds from now on. Returns how to stop that. */
  onAdded(listener: (rule: ApprovalRule) => void): () => void {
    return this.#cache.onChange(({ before, now }) => {
      if (before === undefined && now !== undefined) listener(now);
    });
  }

  /** Those in force, oldest first. @throws {ApiError} invalid_cursor, forbidden */
  async page(query: ApprovalRulesQuery, principal: Principal): Promise<Page<ApprovalRule>> {
    const owner = listedOwner(principal, query.owner ?? principal.owner) ?? principal.owner;
    return guarded(async () => {
      const rules = (await this.#records.all([owner])).map(({ record }) => record);
      const hold = await Promise.all(rules.map(({ token_id: token }) => this.#tokens.isValid(token)));
      const wanted = rules.filter(({ created_at: created }, n) => hold[n] && createdWithin(created, query));
      return pageOfAll('approval_rules', wanted, ({ created_at: created, rule_id: id }) => `${created} ${id}`, query);
    });
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

  /** Tries again while the failure is transient. @throws {ApiError} too_many */
  async add(rule: ApprovalRule): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        // Its id is new: whatever stands there is what an earlier try has stored.
        await guarded(() => this.#records.put([rule.owner, rule.rule_id], rule, 0));
        return;
      } catch (error) {
        if (tries >= ADD_TRIES || !apiErrorOf(error).transient) throw error;
      }
      await sleep(this.#clock, ADD_PAUSE_MS);
    }
  }

  /** @throws {ApiError} not_found */
  async remove(id: string, { owner }: Principal): Promise<void> {
    if (!(await guarded(() => this.#records.remove([owner, id]))))
      throw new ApiError('not_found', `There is no rule ${id}`);
  }

  /** A rule that allows what is asked. @throws {BrokerError} */
  async find(approval: Approval): Promise<ApprovalRule | undefined> {
    for (const [, { value: rule }] of this.#cache.entries())
      if (applies(rule, approval) && (await this.#holds(rule))) return rule;
    return undefined;
  }

  /** Removes the rules whose tokens have ended. Returns how many. @throws {BrokerError} */
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
  async purge(owner: string): Promise<void> {
    // The broker does not tell the other APIs what it purges.
    await this.#removeAll(owner, () => true);
    await this.#records.purge([owner]);
  }
}
