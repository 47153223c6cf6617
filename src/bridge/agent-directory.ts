import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentView } from '../../contracts/agents/agents.js';
import { KsiError } from '../client/errors.js';
import type { Transport } from '../client/transport.js';
import { ksiAgentId } from './agent-ids.js';
import { listing } from '../client/listing.js';
import { unlessMissing } from './errors.js';

const PAGE = 500;
const POLL_MS = 20;
/** Well below the old clients' limit of 30 s for an answer. */
const AWAY_TIMEOUT_MS = 10_000;
/** How often an update is retried after a concurrent one. */
const MAX_CONFLICTS = 5;

/** The role of agents that no client registered, but that connected, wrote or were written to. */
export const CLIENT_ROLE = 'legacy_client';

/** KSI's agents by their ids in the old protocol. */
export class AgentDirectory {
  readonly #ksi: Transport;
  /** Agents that were registered when last seen, which saves requests. */
  readonly #known = new Set<string>();

  constructor(ksi: Transport) {
    this.#ksi = ksi;
  }

  /** @returns undefined if there is no such agent */
  async find(legacyId: string, field = 'parameters.agent_id'): Promise<AgentView | undefined> {
    const id = ksiAgentId(legacyId, field);
    this.#known.delete(id);
    const agent = await unlessMissing(this.#ksi.call('agent', { id }));
    if (agent !== undefined) this.#known.add(id);
    return agent;
  }

  /** Registers an unknown agent, because the old daemon accepted messages from and for any. @returns the id in KSI */
  async ensure(legacyId: string, field?: string): Promise<string> {
    const id = ksiAgentId(legacyId, field ?? 'parameters.agent_id');
    if (this.#known.has(id)) return id;
    if ((await this.find(legacyId, field)) === undefined)
      await this.#ksi.call('agent_register', { agent_id: id, role: CLIENT_ROLE });
    this.#known.add(id);
    return id;
  }

  /** Makes `ensure` check these agents again, because they may have been removed. */
  forget(...ids: readonly (string | undefined)[]): void {
    for (const id of ids) if (id !== undefined) this.#known.delete(id);
  }

  subscribe(legacyId: string, types: readonly string[]): Promise<void> {
    return this.#subscriptions(legacyId, (before) => [...new Set([...before, ...types])]);
  }

  /** @param when `if-away`: keeps the subscriptions of an agent that is connected */
  unsubscribe(legacyId: string, when: 'always' | 'if-away' = 'always'): Promise<void> {
    return this.#subscriptions(legacyId, (before, connected) => (connected && when === 'if-away' ? before : []));
  }

  /** Resolves when KSI shows the agent as disconnected, or after 10 s, because another bridge may have connected it again. */
  async untilAway(legacyId: string): Promise<void> {
    const deadline = performance.now() + AWAY_TIMEOUT_MS;
    while ((await this.find(legacyId))?.connected === true && performance.now() < deadline) await sleep(POLL_MS);
  }

  async *all(): AsyncGenerator<AgentView> {
    yield* listing(this.#ksi, 'agents', { limit: PAGE });
  }

  async #subscriptions(
    legacyId: string,
    change: (before: readonly string[], connected: boolean) => readonly string[],
  ): Promise<void> {
    for (let conflicts = 0; ; conflicts++) {
      const agent = await this.find(legacyId);
      if (agent === undefined) return;
      const subscriptions = [...change(agent.subscriptions, agent.connected)];
      if (subscriptions.join() === agent.subscriptions.join()) return;
      try {
        await this.#ksi.call('agent_update', { id: agent.agent_id, subscriptions, revision: agent.revision });
        return;
      } catch (error) {
        if (!(error instanceof KsiError) || error.code !== 'revision_mismatch' || conflicts >= MAX_CONFLICTS)
          throw error;
      }
    }
  }
}
