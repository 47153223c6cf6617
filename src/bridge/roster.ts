import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentShown } from '../../contracts/agents/agents.js';
import { KsiError } from '../client/errors.js';
import type { Transport } from '../client/transport.js';
import { ksiAgentId } from './agent-ids.js';
import { listing } from '../client/listing.js';

const PAGE = 500;
const LOOK_MS = 20;
/** Well below the old clients' limit of 30 s for an answer. */
const AWAY_WITHIN_MS = 10_000;
/** How often a change of an agent is tried again that another one came before. */
const MOST_CONFLICTS = 5;

/** The agents that KSI knows, by the ids that old clients write. */
export class Roster {
  readonly #ksi: Transport;
  /** Known to be registered: whoever was once is not asked for again and again. */
  readonly #known = new Set<string>();

  constructor(ksi: Transport) {
    this.#ksi = ksi;
  }

  /** @returns undefined when there is none. */
  async find(legacyId: string, field = 'parameters.agent_id'): Promise<AgentShown | undefined> {
    const id = ksiAgentId(legacyId, field);
    try {
      const agent = await this.#ksi.call('agent', { id });
      this.#known.add(id);
      return agent;
    } catch (error) {
      this.#known.delete(id);
      if (error instanceof KsiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Registers an agent that is not known: the old daemon took and kept messages from and for any. */
  async ensure(legacyId: string, field?: string): Promise<string> {
    const id = ksiAgentId(legacyId, field ?? 'parameters.agent_id');
    if (this.#known.has(id)) return id;
    if ((await this.find(legacyId, field)) === undefined) await this.#ksi.call('agent_register', { agent_id: id });
    this.#known.add(id);
    return id;
  }

  /** What is believed may be wrong: they may have been removed. */
  forget(...ids: readonly (string | undefined)[]): void {
    for (const id of ids) if (id !== undefined) this.#known.delete(id);
  }

  subscribe(legacyId: string, types: readonly string[]): Promise<void> {
    return this.#subscriptions(legacyId, (before) => [...new Set([...before, ...types])]);
  }

  unsubscribe(legacyId: string): Promise<void> {
    return this.#subscriptions(legacyId, () => []);
  }

  /** Resolves when KSI shows the agent as not connected, or after 10 s: another bridge may have connected it again. */
  async untilAway(legacyId: string): Promise<void> {
    const deadline = performance.now() + AWAY_WITHIN_MS;
    while ((await this.find(legacyId))?.connected === true && performance.now() < deadline) await sleep(LOOK_MS);
  }

  async *all(): AsyncGenerator<AgentShown> {
    yield* listing(this.#ksi, 'agents', { limit: PAGE });
  }

  async #subscriptions(legacyId: string, change: (before: readonly string[]) => string[]): Promise<void> {
    for (let conflicts = 0; ; conflicts++) {
      const agent = await this.find(legacyId);
      if (agent === undefined) return;
      const subscriptions = change(agent.subscriptions);
      if (subscriptions.join() === agent.subscriptions.join()) return;
      try {
        await this.#ksi.call('agent_update', { id: agent.agent_id, subscriptions, revision: agent.revision });
        return;
      } catch (error) {
        if (!(error instanceof KsiError) || error.status !== 409 || conflicts >= MOST_CONFLICTS) throw error;
      }
    }
  }
}
