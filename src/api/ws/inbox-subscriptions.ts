import type { Agent } from '../../../contracts/agents/agents.js';
import type { MessageAccepted } from '../../../contracts/agents/messages.js';
import { ATTACH_WINDOW, type ClientFrame, type DetachReason, type ServerFrame } from '../../../contracts/api/ws.js';
import { InboxSubscription } from '../../agents/inbox-subscription.js';
import { ApiError, apiErrorOf, withApiErrors } from '../../errors/api-error.js';
import { demand } from '../../access/auth.js';
import { recordOperation } from '../audit.js';
import type { Audit } from '../../access/audit.js';
import type { Agents } from '../../agents/agents.js';
import type { Logger } from 'pino';
import type { Principal } from '../../access/principal.js';
import type { Outgoing } from './outgoing.js';

type Op = ClientFrame['op'];
type Frame<O extends Op> = Extract<ClientFrame, { op: O }>;

export interface InboxSubscriptionServices {
  readonly agents: Agents;
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Logger;
}

export interface InboxSubscriptionsOptions {
  readonly services: InboxSubscriptionServices;
  readonly principal: Principal;
  readonly out: Pick<Outgoing, 'drained'>;
  readonly send: (frame: ServerFrame) => void;
  readonly fail: (error: unknown, id: string) => void;
}

const MAX_ATTACHMENTS = 64;

/** The inboxes that a WebSocket client reads, and what it sends: frames `attach`, `ack`, `detach` and `send`. */
export class InboxSubscriptions {
  readonly #options: InboxSubscriptionsOptions;
  readonly #attached = new Map<string, { attachment: InboxSubscription; agent: Agent }>();
  #stopped = false;

  constructor(options: InboxSubscriptionsOptions) {
    this.#options = options;
  }

  /** What it can't do it says by an error frame. */
  async obey(frame: Frame<'attach' | 'ack' | 'detach' | 'send'>): Promise<void> {
    try {
      demand(this.#options.principal, 'agents');
      if (frame.op === 'attach') await this.#attach(frame);
      else if (frame.op === 'ack') await this.#ack(frame);
      else if (frame.op === 'send') await this.#sendMessage(frame);
      else await this.#detach(frame.id, 'asked');
    } catch (error) {
      this.#options.fail(error, frame.id);
    }
  }

  /** The connection is closed. */
  stop(): void {
    this.#stopped = true;
    for (const { attachment } of this.#attached.values()) void attachment.stop();
    this.#attached.clear();
  }

  async #attach({ id, agent_id: agentId }: Frame<'attach'>): Promise<void> {
    const { services, principal, out, send, fail } = this.#options;
    const { agents, log } = services;
    if (this.#attached.size >= MAX_ATTACHMENTS)
      throw new ApiError('invalid_request', `A connection reads at most ${MAX_ATTACHMENTS} inboxes`);
    const { value: agent } = await agents.registry.agent(agentId, principal);
    if (agent.kind === 'managed')
      throw new ApiError('invalid_request', `${agentId} is managed: its messages become tasks`);
    await this.#attached.get(id)?.attachment.stop();
    if (this.#stopped) return;
    const attachment = new InboxSubscription({
      agents,
      agent,
      window: ATTACH_WINDOW,
      sink: {
        push: (message) => send({ op: 'message', id, message }),
        ready: () => out.drained(),
        lost: (reason) => void this.#detach(id, reason),
        failed: (error) => fail(error, id),
      },
      log,
    });
    this.#attached.set(id, { attachment, agent });
    try {
      await withApiErrors(() => attachment.hold());
    } catch (error) {
      if (this.#attached.get(id)?.attachment === attachment) this.#attached.delete(id);
      throw error;
    }
    // Replaced or called off meanwhile, as was said.
    if (this.#stopped || this.#attached.get(id)?.attachment !== attachment) return void attachment.stop();
    send({ op: 'attached', id, agent_id: agentId });
    attachment.start();
  }

  async #ack({ id, seq }: Frame<'ack'>): Promise<void> {
    const attached = this.#attached.get(id);
    if (attached === undefined) throw new ApiError('not_found', `Nothing is attached as ${id}`);
    const { agent, attachment } = attached;
    const { agents } = this.#options.services;
    // It may have been removed, and its id be another's.
    const { value } = await agents.registry.agent(agent.agent_id, this.#options.principal);
    if (value.owner !== agent.owner) throw new ApiError('not_found', `There is no agent ${agent.agent_id} of yours`);
    const now = await withApiErrors(() => attachment.ack(seq));
    this.#options.send({ op: 'acked', id, seq: now });
  }

  async #detach(id: string, reason: DetachReason): Promise<void> {
    const attached = this.#attached.get(id);
    if (attached === undefined) return;
    this.#attached.delete(id);
    // A client that reads `detached` may rely on the agent being shown as not connected.
    await attached.attachment.stop();
    if (!this.#stopped) this.#options.send({ op: 'detached', id, reason });
  }

  async #sendMessage({ id, message }: Frame<'send'>): Promise<void> {
    const { services, principal, send } = this.#options;
    const record = (result: string, answer?: MessageAccepted): void =>
      recordOperation(services.audit, 'send', { principal, request: message, answer, result, over: 'ws' });
    try {
      const accepted = await services.agents.send(message, principal);
      record('ok', accepted);
      send({ op: 'sent', id, accepted });
    } catch (error) {
      record(apiErrorOf(error).code);
      throw error;
    }
  }
}
