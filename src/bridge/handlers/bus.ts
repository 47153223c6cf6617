import { randomUUID } from 'node:crypto';
import type { MessageAccepted, MessageRequest } from '../../../contracts/agents/messages.js';
import { LEGACY_DAEMON } from '../../../contracts/bridge/legacy.js';
import { KsiError } from '../../client/errors.js';
import { legacyAgentId } from '../agent-ids.js';
import { Limit } from '../../limit.js';
import { LegacyError, plainMessage, unlessMissing } from '../errors.js';
import { isMessageType, messageOf } from '../messages.js';
import type { BridgeContext, Handler } from './handler.js';

export const agentConnection: Handler<'AGENT_CONNECTION'> = async ({ action, agent_id }, { agents }, link) => {
  switch (action) {
    case 'connect':
      return {
        result: { status: 'connected', agent_id, action },
        keep: true,
        after: await agents.connect(agent_id, link),
      };
    case 'disconnect':
      await agents.disconnect(agent_id);
      return { result: { status: 'disconnected', agent_id, action } };
    default:
      throw new LegacyError(
        'INVALID_ACTION',
        `parameters.action: must be "connect" or "disconnect", not ${JSON.stringify(action)}`,
      );
  }
};

/** The agent may be connected to another bridge, or read its inbox as a client of KSI. */
export const subscribe: Handler<'SUBSCRIBE'> = async ({ agent_id, event_types }, { directory }) => {
  const wrong = event_types.find((type) => !isMessageType(type));
  if (wrong !== undefined) throw noType('parameters.event_types', wrong);
  const agent = await directory.find(agent_id);
  if (agent?.connected !== true)
    throw new LegacyError('SUBSCRIBE_FAILED', `${agent_id} is not connected. Send AGENT_CONNECTION first.`);
  await directory.subscribe(agent_id, event_types);
  return { result: { status: 'subscribed', agent_id, event_types } };
};

export const publish: Handler<'PUBLISH'> = async ({ from_agent, event_type, payload }, context) => {
  if (!isMessageType(event_type)) throw noType('parameters.event_type', event_type);
  const message = messageOf(event_type, payload);
  switch (event_type) {
    case 'DIRECT_MESSAGE':
      if (message.to === undefined) return { result: { status: 'error', error: 'No recipient specified: payload.to' } };
      return { result: delivery(await send(context, from_agent, message)) };
    case 'TASK_ASSIGNMENT':
      return { result: await assign(context, from_agent, message) };
    case 'BROADCAST':
      return { result: await broadcast(context, from_agent, message) };
    default:
      return { result: await publishOther(context, from_agent, message) };
  }
};

const noType = (field: string, type: string): LegacyError =>
  new LegacyError(
    'INVALID_COMMAND',
    `${field}: ${JSON.stringify(type)} is not a valid type. Use 1 to 64 characters of A-Z a-z 0-9 _ -`,
  );

const delivery = ({ status, to, copies }: MessageAccepted) => ({
  status: status === 'delivered' ? 'delivered' : 'queued',
  to: to === undefined ? undefined : legacyAgentId(to),
  notified: copies.map(legacyAgentId),
});

/** Without an addressee, KSI chooses the most suitable agent. */
async function assign(context: BridgeContext, from: string, message: MessageRequest): Promise<object> {
  try {
    return delivery(await send(context, from, message));
  } catch (error) {
    if (message.to !== undefined || !(error instanceof KsiError)) throw error;
    if (error.code === 'no_suitable_agent') return { status: 'error', error: plainMessage(error) };
    if (error.code !== 'no_available_agent') throw error;
    // None of the suitable agents is available. Like the old daemon, queue the task for the most capable one.
    const to = await mostCapable(context, message.required_capabilities ?? [], from);
    return delivery(await send(context, from, { ...message, ...(to === undefined ? {} : { to }) }));
  }
}

async function mostCapable(
  { directory }: BridgeContext,
  required: readonly string[],
  sender: string,
): Promise<string | undefined> {
  let best: { id: string; score: number } | undefined;
  for await (const { agent_id: id, capabilities } of directory.all()) {
    const score = required.filter((capability) => capabilities.includes(capability)).length;
    if (legacyAgentId(id) !== sender && score > (best?.score ?? 0)) best = { id, score };
  }
  return best?.id;
}

/** Subscribers that are not connected count as failed, though the message is in their inboxes. */
async function broadcast(context: BridgeContext, from: string, message: MessageRequest): Promise<object> {
  const { copies } = await send(context, from, message);
  const connected = new Set<string>();
  if (copies.length > 0)
    for await (const agent of context.directory.all()) if (agent.connected) connected.add(agent.agent_id);
  const delivered = copies.filter((id) => connected.has(id)).map(legacyAgentId);
  const failed = copies.filter((id) => !connected.has(id)).map(legacyAgentId);
  return { status: 'broadcast', delivered, failed, total: copies.length };
}

/** Sends to all subscribers, as the old daemon did, the sender included. KSI sends no copy to the sender, so the message is addressed to it. */
async function publishOther(context: BridgeContext, from: string, message: MessageRequest): Promise<object> {
  const { type: event_type = '' } = message;
  const sender = from === LEGACY_DAEMON ? undefined : await context.directory.find(from, 'parameters.from_agent');
  const own = sender?.kind === 'external' && sender.subscriptions.includes(event_type);
  const { copies } = await send(context, from, own ? { ...message, to: sender.agent_id } : message);
  return { status: 'published', event_type, delivered_to: [...(own ? [from] : []), ...copies.map(legacyAgentId)] };
}

/** Sends an agent's message, and registers the sender and addressee if they are unknown. */
async function send(
  { ksi, directory }: BridgeContext,
  sender: string,
  message: MessageRequest,
): Promise<MessageAccepted> {
  const message_id = randomUUID();
  for (let tries = 0; ; tries++) {
    const from = sender === LEGACY_DAEMON ? undefined : await directory.ensure(sender, 'parameters.from_agent');
    if (message.to !== undefined) await directory.ensure(legacyAgentId(message.to));
    try {
      return await ksi.call('send', { ...message, message_id, ...(from === undefined ? {} : { from }) });
    } catch (error) {
      // The sender or the addressee was removed since `ensure` last saw it.
      if (!(error instanceof KsiError) || error.status !== 404 || tries > 0) throw error;
      directory.forget(from, message.to);
    }
  }
}

const REQUESTS_AT_ONCE = 16;

export const messageBusStats: Handler<'MESSAGE_BUS_STATS'> = async (_parameters, { directory, ksi, messageLog }) => {
  const connected_agents: string[] = [];
  const subscriptions: Record<string, string[]> = {};
  const away: string[] = [];
  for await (const { agent_id: id, connected, kind, subscriptions: types } of directory.all()) {
    if (connected) connected_agents.push(legacyAgentId(id));
    else if (kind === 'external') away.push(id);
    for (const type of types) (subscriptions[type] ??= []).push(legacyAgentId(id));
  }
  const offline_queues: Record<string, number> = {};
  const { run } = new Limit(REQUESTS_AT_ONCE);
  const queue = async (id: string): Promise<void> => {
    const { unread = 0 } = (await unlessMissing(ksi.call('agent', { id }))) ?? {};
    if (unread > 0) offline_queues[legacyAgentId(id)] = unread;
  };
  await Promise.all(away.map((id) => run(() => queue(id))));
  return { result: { connected_agents, subscriptions, offline_queues, history_size: messageLog.size } };
};
