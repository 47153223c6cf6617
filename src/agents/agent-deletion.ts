import type { Agent } from '../../contracts/agents/agents.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { NOBODY, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { eventPublication, newEvent } from '../broker/events.js';
import { purge } from '../broker/purge.js';
import { deleteMessage, lastBySubject } from '../broker/read.js';
import { readStream } from '../broker/replay.js';
import { parseJson } from '../json.js';
import type { ApprovalRules } from '../tasks/approvals/rules.js';
import type { InboxCursors } from './inbox-cursors.js';
import type { PresenceRegistry } from './presence.js';
import type { AgentRegistry } from './registry.js';

export interface AgentDeletionOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly registry: Pick<AgentRegistry, 'remove' | 'allNamed'>;
  readonly presence: Pick<PresenceRegistry, 'forget'>;
  readonly positions: Pick<InboxCursors, 'remove' | 'revisionOf' | 'removeAt'>;
  readonly approvalRules: Pick<ApprovalRules, 'removeOfAgent'>;
}

/**
 * Deletes agents with their messages, events and records. Messages are deleted before the record, so that a deletion that broke off can be
 * repeated, and once more after it, for messages that arrived meanwhile.
 */
export class AgentDeletion {
  readonly #options: AgentDeletionOptions;

  constructor(options: AgentDeletionOptions) {
    this.#options = options;
  }

  /** @param by the owner of the request's token. @throws {BrokerError} */
  async remove({ agent_id, owner }: Pick<Agent, 'agent_id' | 'owner'>, by: string): Promise<void> {
    const { broker, registry, presence, approvalRules } = this.#options;
    await this.clear(agent_id);
    await approvalRules.removeOfAgent(agent_id, owner);
    await registry.remove(agent_id);
    await presence.forget(agent_id);
    await this.clear(agent_id);
    const event = newEvent(broker.clock, 'AGENT_TERMINATED', { agent_id, owner, reason: 'removed', by });
    await broker.publisher.publish(eventPublication(event, SUBJECT.agentEvent(agent_id, 'terminated')));
  }

  /** Deletes all agents of an owner, and the owner's messages without a recipient. @throws {BrokerError} */
  async owner(owner: string, by: string): Promise<void> {
    for (const agent of await this.#options.registry.allNamed(owner)) await this.remove(agent, by);
    await this.#deleteOf(owner, STREAM.events, SUBJECT.agentMail(NOBODY));
    await this.#deleteOf(owner, STREAM.messages, SUBJECT.inbox(NOBODY));
  }

  /**
   * Notes the leftovers of an earlier agent of this id. @returns a function that deletes them, but nothing newer: newer messages belong to
   * an agent that another request registered first. @throws {BrokerError}
   */
  async look(agentId: string): Promise<() => Promise<void>> {
    const { positions } = this.#options;
    const [revision, { event, message }] = await Promise.all([positions.revisionOf(agentId), this.#last(agentId)]);
    return async () => {
      await positions.removeAt(agentId, revision);
      await this.#clear(agentId, event, message);
    };
  }

  /** Empties the inbox and deletes its cursor. @throws {BrokerError} */
  async clear(agentId: string): Promise<void> {
    const [{ event, message }] = await Promise.all([this.#last(agentId), this.#options.positions.remove(agentId)]);
    // An event may become a message a moment later.
    if (event > 0 || message > 0) await this.#clear(agentId, event > 0 ? Infinity : 0, Infinity);
  }

  /** The last sequences of its events and messages; 0: none. */
  async #last(agentId: string): Promise<{ event: number; message: number }> {
    const { broker } = this.#options;
    const [event, message] = await Promise.all([
      lastBySubject(broker, STREAM.events, SUBJECT.agentAll(agentId)),
      lastBySubject(broker, STREAM.messages, SUBJECT.inbox(agentId)),
    ]);
    return { event: event?.seq ?? 0, message: message?.seq ?? 0 };
  }

  /** Deletes events and messages up to the given sequences; 0: none. */
  async #clear(agentId: string, event: number, message: number): Promise<void> {
    if (message > 0) await this.#deleteBodies(agentId, message);
    // Events first, because KSI_MESSAGES sources from them.
    if (event > 0) await purge(this.#options.broker, STREAM.events, SUBJECT.agentAll(agentId), event);
    if (message > 0) await purge(this.#options.broker, STREAM.messages, SUBJECT.inbox(agentId), message);
  }

  /** Deletes the bodies of its messages. The body of a copy belongs to the original's recipient. */
  async #deleteBodies(agentId: string, upTo: number): Promise<void> {
    const { broker, blobs } = this.#options;
    for await (const stored of readStream(broker, STREAM.messages, SUBJECT.inbox(agentId), 0, upTo)) {
      const { data } = (parseJson(stored.data) ?? {}) as Partial<StoredEvent<'AGENT_MESSAGE'>>;
      if (data?.ref !== undefined && data.to === agentId) await blobs.delete(data.ref.name);
    }
  }

  /** Deletes an owner's messages on a subject that owners share. */
  async #deleteOf(owner: string, stream: string, filter: string): Promise<void> {
    const { broker, blobs } = this.#options;
    for await (const stored of readStream(broker, stream, filter, 0, Number.MAX_SAFE_INTEGER)) {
      const { data } = (parseJson(stored.data) ?? {}) as Partial<StoredEvent<'AGENT_MESSAGE'>>;
      if (data?.owner !== owner) continue;
      if (data.ref !== undefined) await blobs.delete(data.ref.name);
      await deleteMessage(broker, stream, stored.seq);
    }
  }
}
