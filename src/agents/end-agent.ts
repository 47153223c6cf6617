import type { Agent } from '../../contracts/agents/agents.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { eventPublication, newEvent } from '../broker/events.js';
import type { AgentRegistry } from './registry.js';

/** Ends an agent on a signal. Its messages then wait until an update makes the agent active again. */
export class AgentEnder {
  readonly #broker: Broker;
  readonly #registry: Pick<AgentRegistry, 'end'>;

  constructor(broker: Broker, registry: Pick<AgentRegistry, 'end'>) {
    this.#broker = broker;
    this.#registry = registry;
  }

  /** Idempotent per `by`. @param by the id of the message or task that gave the signal. @throws {BrokerError} */
  async end({ agent_id, owner }: Pick<Agent, 'agent_id' | 'owner'>, by: string): Promise<void> {
    if (!(await this.#registry.end(agent_id, by))) return;
    const event = newEvent(this.#broker.clock, 'AGENT_TERMINATED', { agent_id, owner, reason: 'signal' });
    const publication = eventPublication(event, SUBJECT.agentEvent(agent_id, 'terminated'));
    await this.#broker.publisher.publish({ ...publication, msgId: `ended-${agent_id}-${by}` });
  }
}
