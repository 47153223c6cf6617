import { Type, type Static } from 'typebox';
import { AGENT_PATTERN, MESSAGE_TYPE_PATTERN } from './agents.js';
import { BlobRef } from '../wire/blob.js';
import { NAME_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { ExchangeLimits } from '../access/exchanges.js';
import { pageOf, pageQuery } from '../wire/page.js';
import { recordKind } from '../wire/record-kind.js';

/** The highest sequence number that JSON represents exactly. */
export const MAX_SEQ = Number.MAX_SAFE_INTEGER;

/** The message types that KSI defines. Users may define others. */
export const MESSAGE_TYPES = {
  DIRECT_MESSAGE: 'From one agent or person to another.',
  BROADCAST: 'To every agent of the owner that has subscribed to BROADCAST.',
  TASK_ASSIGNMENT: 'A task. Without an addressee it goes to the agent whose capabilities match best.',
  CONVERSATION_INVITE: 'An invitation to a conversation.',
} as const;

/** Signals in the text of an answer (docs/design/legacy-protocol.md#control-signals). KSI removes them from the text that it sends on. */
export const CONTROL_SIGNALS = { end: ['[END]', '[TERMINATE]'], silent: ['[NO_RESPONSE]'] } as const;

/** The limit on a chain of messages and tasks of agents without a message from a person. The message at the limit starts no task. */
export const MAX_HOPS = 50;

/** The limit on a message's content and payload together, so that several messages fit into one WebSocket buffer. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A page of messages ends when it has reached this many bytes. */
export const INBOX_PAGE_BYTES = 8 * 1024 * 1024;

/** The error in a message that reports a failed task or a refusal. Managed agents do not answer these messages. */
export const MessageError = Type.Object({
  code: Type.String({ description: 'The code of the task error or of the refusal.' }),
  message: Type.String(),
});
export type MessageError = Static<typeof MessageError>;

/** The UUIDv5 namespace for messages that KSI sends. An answer derives its id from its task, a copy from its message and subscriber. Never changes. */
export const MESSAGE_NAMESPACE = 'b1a7c0de-3f0e-5d52-8a55-0d7d8a2b9c01';

/** The fields of a message that a client sends: POST /messages, and POST /agents/:id/messages with `to` in the path. */
const requestFields = {
  type: Type.Optional(Type.String({ pattern: MESSAGE_TYPE_PATTERN, default: 'DIRECT_MESSAGE' })),
  from: Type.Optional(
    Type.String({ pattern: AGENT_PATTERN, description: 'One of your agents. Default: you, the owner of the token.' }),
  ),
  conversation_id: Type.Optional(Type.String({ pattern: NAME_PATTERN })),
  reply_to: Type.Optional(
    Type.String({ maxLength: 256, description: 'The `message_id` of the message that this one answers.' }),
  ),
  content: Type.Optional(Type.String({ description: 'The text.' })),
  payload: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Further data, as JSON.' })),
  required_capabilities: Type.Optional(
    Type.Array(Type.String({ maxLength: 64 }), {
      maxItems: 64,
      description: 'For a TASK_ASSIGNMENT without `to`: the agent must have at least one of these.',
    }),
  ),
  exchange_limits: Type.Optional(ExchangeLimits),
  message_id: Type.Optional(
    Type.String({
      format: 'uuid',
      description: 'An id that you choose. A repeated request with the same id stores one message. Default: a new id.',
    }),
  ),
};
export const MessageRequest = Type.Object(
  { to: Type.Optional(Type.String({ pattern: AGENT_PATTERN })), ...requestFields },
  { additionalProperties: false },
);
/** A message to the agent in the path. */
export const AddressedMessage = Type.Object(requestFields, { additionalProperties: false });
export type AddressedMessage = Static<typeof AddressedMessage>;
export type MessageRequest = Static<typeof MessageRequest>;

/**
 * A message: `data` of an AGENT_MESSAGE event, on `ksi.events.agent.<to>.message.<type>` (`_`: no addressee). KSI_MESSAGES sources it from
 * KSI_EVENTS, so each stored event is in the inbox exactly once (ADR 17). A subscriber's copy is AGENT_COPY, on `….agent.<subscriber>.copy.<type>`.
 */
export const messageFields = {
  message_id: Type.String(),
  type: Type.String(),
  owner: Type.String(),
  from: Type.Optional(Type.String({ description: 'The agent that sent the message. Absent: the owner, a person.' })),
  to: Type.Optional(Type.String()),
  /** Repeats `to`, so that the filter `agent_id` finds messages and tasks alike. */
  agent_id: Type.Optional(
    Type.String({ description: 'The addressee, or the sender of a message without an addressee.' }),
  ),
  conversation_id: Type.Optional(Type.String()),
  reply_to: Type.Optional(Type.String()),
  task_id: Type.Optional(Type.String({ description: 'The task whose answer this is.' })),
  token_id: Type.Optional(
    Type.String({
      description: 'The token that started the exchange. The cost of tasks in the exchange counts towards its budget.',
    }),
  ),
  output_ref: Type.Optional(
    Type.Object(BlobRef.properties, {
      description: 'Replaces an answer of more than 4 MiB. GET /tasks/:task_id/output streams the answer.',
    }),
  ),
  error: Type.Optional(MessageError),
  signal: Type.Optional(
    Type.Literal('end', { description: 'The sender has ended with `[END]`, which is removed from the text.' }),
  ),
  hops: Type.Integer({
    minimum: 0,
    description:
      'The number of messages and tasks of agents that led to this message since the last message of a person or an external agent.',
  }),
  exchange_id: Type.Optional(
    Type.String({ description: 'The id of the message that started the exchange. It may be the id of this message.' }),
  ),
  replies: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'For an answer of a managed agent: 1 if it answers a message, 2 if it answers an answer, and so on.',
    }),
  ),
  content: Type.Optional(Type.String()),
  payload: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  ref: Type.Optional(BlobRef),
};
export const Message = Type.Object(messageFields);
export type Message = Static<typeof Message>;

/** A message in an inbox. */
export const InboxMessage = Type.Object({
  ...messageFields,
  seq: Type.Integer({ description: 'Its sequence number in KSI_MESSAGES. Inboxes deliver messages in this order.' }),
  timestamp: Type.String({ format: 'date-time' }),
});
export type InboxMessage = Static<typeof InboxMessage>;

export const MessageAccepted = Type.Object({
  message_id: Type.String(),
  status: Type.Enum(['delivered', 'queued', 'published'], {
    description:
      '`delivered`: the addressee is reading its inbox or is managed. `queued`: the message waits in the inbox. `published`: the message has no addressee.',
  }),
  to: Type.Optional(Type.String()),
  copies: Type.Array(Type.String(), {
    description: 'Agents that get a copy because they subscribed to the type of the message.',
  }),
  since: Type.String({ description: 'A cursor just before the message. All events that it causes come after it.' }),
});
export type MessageAccepted = Static<typeof MessageAccepted>;

/** GET /agents/:id/inbox: messages that are not acknowledged, in order. Waits up to `wait` seconds for the first one. */
export const InboxQuery = pageQuery({
  wait: Type.Optional(Type.Number({ minimum: 0, maximum: 60, default: 0 })),
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_SEQ,
      description: 'Only messages with a higher `seq`. Default: all messages that are not acknowledged.',
    }),
  ),
});
export type InboxQuery = Static<typeof InboxQuery>;
export const InboxPage = pageOf(InboxMessage, {});
export type InboxPage = Static<typeof InboxPage>;

/** POST /agents/:id/inbox/ack: acknowledges all messages up to `seq`. They are never delivered again. The receipt is an AGENT_DELIVERED event. */
export const InboxAck = Type.Object(
  {
    seq: Type.Integer({
      minimum: 1,
      maximum: MAX_SEQ,
      description: 'The `seq` of the last message that the agent has processed.',
    }),
  },
  { additionalProperties: false },
);
export type InboxAck = Static<typeof InboxAck>;
export const InboxAcked = Type.Object({
  seq: Type.Integer({
    description:
      'All messages up to this one are acknowledged. It is higher than the requested `seq` if later messages were already acknowledged.',
  }),
});
export type InboxAcked = Static<typeof InboxAcked>;

/** The cursor of an inbox: an entry of `ksi_inboxes`. It never goes back. */
export const InboxCursorRecord = Type.Object({ v: Type.Integer({ minimum: 1 }), seq: Type.Integer({ minimum: 0 }) });
export type InboxCursorRecord = Static<typeof InboxCursorRecord>;

export const INBOX_CURSORS = recordKind(BUCKET.inboxes, InboxCursorRecord, SUBJECT.inboxCursor, { markS: 1 });
