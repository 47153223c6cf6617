import { MESSAGE_TYPE_PATTERN } from '../../contracts/agents/agents.js';
import { LEGACY_ADDRESSED, LEGACY_DAEMON, LEGACY_DAEMON_TYPES } from '../../contracts/bridge/legacy.js';
import type { MessageRequest } from '../../contracts/agents/messages.js';
import { ksiAgentId, legacyAgentId } from './agent-ids.js';

type Payload = Readonly<Record<string, unknown>>;

/** A message as KSI shows it: in an inbox, or as an event's data. */
export interface ShownMessage {
  readonly message_id: string;
  readonly type: string;
  readonly owner: string;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly conversation_id?: string | undefined;
  readonly content?: string | undefined;
  readonly payload?: Payload | undefined;
  readonly timestamp: string;
}

const CONVERSATION = /^[A-Za-z0-9._-]{1,128}$/;
const isAddressed = (type: string): boolean => (LEGACY_ADDRESSED as readonly string[]).includes(type);

/**
 * What a client publishes, as KSI takes it: what KSI gives a meaning in fields of its own, where its form allows, all else in `payload`.
 * Of other types than those with an addressee, `to` is payload.
 * @throws {LegacyError} `INVALID_COMMAND`: `to` can't be an agent's id.
 */
export function messageOf(type: string, payload: Payload): MessageRequest {
  const { to, content, conversation_id: conversation, required_capabilities: required, ...rest } = payload;
  const other: Record<string, unknown> = { ...rest };
  const request: MessageRequest = { type };
  if (isAddressed(type) && typeof to === 'string' && to !== '') request.to = ksiAgentId(to, 'parameters.payload.to');
  else if (to !== undefined) other['to'] = to;
  if (typeof content === 'string') request.content = content;
  else if (content !== undefined) other['content'] = content;
  if (typeof conversation === 'string' && CONVERSATION.test(conversation)) request.conversation_id = conversation;
  else if (conversation !== undefined) other['conversation_id'] = conversation;
  if (type === 'TASK_ASSIGNMENT' && request.to === undefined && isTexts(required))
    request.required_capabilities = required;
  if (required !== undefined) other['required_capabilities'] = required;
  if (Object.keys(other).length > 0) request.payload = other;
  return request;
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** As it is pushed to clients and kept in message_bus.jsonl. `id`, `type`, `from` and `timestamp` are the bus's word, whatever the payload holds. */
export function pushed(message: ShownMessage): Record<string, unknown> {
  const { message_id: id, type, from, to, timestamp, content, conversation_id: conversation, payload = {} } = message;
  // A message of another type to its sender itself is one that the sender subscribed to.
  const toOneself = to !== undefined && to === from && !isAddressed(type);
  return {
    id,
    type,
    from: senderOf(message),
    timestamp,
    ...withoutEnvelope(payload),
    ...(to === undefined || toOneself ? {} : { to: legacyAgentId(to) }),
    ...(content === undefined ? {} : { content }),
    ...(conversation === undefined ? {} : { conversation_id: conversation }),
  };
}

/** A person's message is from the owner of the token; the daemon's own are known by their types. */
function senderOf({ from, type, owner }: ShownMessage): string {
  if (from !== undefined) return legacyAgentId(from);
  return LEGACY_DAEMON_TYPES.includes(type) ? LEGACY_DAEMON : owner;
}

const ENVELOPE = new Set(['id', 'type', 'from', 'timestamp']);
const withoutEnvelope = (payload: Payload): Payload =>
  Object.fromEntries(Object.entries(payload).filter(([name]) => !ENVELOPE.has(name)));

const TYPE = new RegExp(MESSAGE_TYPE_PATTERN);
/** Whether a text can be a message's type in KSI: a token of a subject. */
export const isMessageType = (text: string): boolean => TYPE.test(text);
