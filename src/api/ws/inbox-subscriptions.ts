import type { Agent } from '../../../contracts/agents/agents.js';
import type { MessageAccepted } from '../../../contracts/agents/messages.js';
import { ATTACH_WINDOW, type ClientFrame, type DetachReason, type ServerFrame } from '../../../contracts/api/ws.js';
import { InboxSubscription } from '../../agents/inbox-subscription.js';
import { ApiError, apiErrorOf, withApiErrors } from '../../errors/api-error.js';
import { demand } from '../../access/auth.js';
import { recordOperation } from '../record-operation.js';
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

const MAX_SUBSCRIPTIONS = 64;

/** Handles the frames `attach`, `ack`, `detach` and `send`: the inboxes that a WebSocket client reads, and the messages that it sends. */
export class InboxSubscriptions {
  readonly #options: InboxSubscriptionsOptions;
  readonly #subscriptions = new Map<string, { subscription: InboxSubscription; agent: Agent }>();
  #stopped = false;

  constructor(options: InboxSubscriptionsOptions) {
    this.#options = options;
  }

  /** Answers a fault with an error frame. Never rejects. */
  async handle(frame: Frame<'attach' | 'ack' | 'detach' | 'send'>): Promise<void> {
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

  /** Ends all subscriptions, once the connection is closed. */
  stop(): void {
    this.#stopped = true;
    for (const { subscription } of this.#subscriptions.values()) void subscription.stop();
    this.#subscriptions.clear();
  }

  async #attach({ id, agent_id: agentId }: Frame<'attach'>): Promise<void> {
    const { services, principal, out, send, fail } = this.#options;
    const { agents, log } = services;
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS)
      throw new ApiError('invalid_request', `A connection can read at most ${MAX_SUBSCRIPTIONS} inboxes`);
    const { value: agent } = await agents.registry.agent(agentId, principal);
    if (agent.kind === 'managed')
      throw new ApiError(
        'invalid_request',
        `${agentId} is a managed agent: its messages become tasks and are not pushed`,
      );
    await this.#subscriptions.get(id)?.subscription.stop();
    if (this.#stopped) return;
    const subscription = new InboxSubscription({
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
    this.#subscriptions.set(id, { subscription, agent });
    try {
      await withApiErrors(() => subscription.hold());
    } catch (error) {
      if (this.#subscriptions.get(id)?.subscription === subscription) this.#subscriptions.delete(id);
      throw error;
    }
    // Another frame has replaced or detached this subscription meanwhile and was answered.
    if (this.#stopped || this.#subscriptions.get(id)?.subscription !== subscription) return void subscription.stop();
    send({ op: 'attached', id, agent_id: agentId });
    subscription.start();
  }

  async #ack({ id, seq }: Frame<'ack'>): Promise<void> {
    const attached = this.#subscriptions.get(id);
    if (attached === undefined) throw new ApiError('not_found', `No inbox is attached as \`${id}\``);
    const { agent, subscription } = attached;
    const { agents } = this.#options.services;
    // The agent may have been deleted and its id registered by another owner.
    const { value } = await agents.registry.agent(agent.agent_id, this.#options.principal);
    if (value.owner !== agent.owner) throw new ApiError('not_found', `You have no agent ${agent.agent_id}`);
    const now = await withApiErrors(() => subscription.ack(seq));
    this.#options.send({ op: 'acked', id, seq: now });
  }

  async #detach(id: string, reason: DetachReason): Promise<void> {
    const attached = this.#subscriptions.get(id);
    if (attached === undefined) return;
    this.#subscriptions.delete(id);
    // Stop first: after `detached`, the client may rely on the agent being shown as not connected.
    await attached.subscription.stop();
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
