import { MESSAGE_TYPE_PATTERN } from '../../contracts/agents/agents.js';
import { LEGACY_ADDRESSED, LEGACY_DAEMON, LEGACY_DAEMON_TYPES } from '../../contracts/bridge/legacy.js';
import type { MessageRequest } from '../../contracts/agents/messages.js';
import { ksiAgentId, legacyAgentId } from './agent-ids.js';
import { defined } from '../defined.js';

type Payload = Readonly<Record<string, unknown>>;

/** A message in KSI, from an inbox or an event. */
export interface LegacyMessage {
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
 * Converts a published message to KSI's form. Fields that KSI knows move out of `payload` if their values are valid there. `to` moves only for
 * types that have an addressee.
 * @throws {LegacyError} `INVALID_COMMAND` if `to` cannot be an agent's id
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

/** A message in the form that clients receive and message_bus.jsonl has. The payload cannot override `id`, `type`, `from` and `timestamp`. */
export function pushed(message: LegacyMessage): Record<string, unknown> {
  const { message_id: id, type, from, to, timestamp, content, conversation_id: conversation, payload = {} } = message;
  // For other types, the sender addressed the message to itself because it subscribes to the type (`publishOther`).
  const toOneself = to !== undefined && to === from && !isAddressed(type);
  return defined({
    id,
    type,
    from: senderOf(message),
    timestamp,
    ...withoutEnvelope(payload),
    ...(to === undefined || toOneself ? {} : { to: legacyAgentId(to) }),
    ...(content === undefined ? {} : { content }),
    ...(conversation === undefined ? {} : { conversation_id: conversation }),
  });
}

/** A message without `from` is the daemon's if its type is, and otherwise a person's. */
function senderOf({ from, type, owner }: LegacyMessage): string {
  if (from !== undefined) return legacyAgentId(from);
  return LEGACY_DAEMON_TYPES.includes(type) ? LEGACY_DAEMON : owner;
}

const ENVELOPE = new Set(['id', 'type', 'from', 'timestamp']);
const withoutEnvelope = (payload: Payload): Payload =>
  Object.fromEntries(Object.entries(payload).filter(([name]) => !ENVELOPE.has(name)));

const TYPE = new RegExp(MESSAGE_TYPE_PATTERN);
/** Whether KSI accepts a text as a message type, which is a token of a subject. */
export const isMessageType = (text: string): boolean => TYPE.test(text);
