import { Type, type Static } from 'typebox';
import { AGENT_PATTERN, MESSAGE_TYPE_PATTERN } from './agents.js';
import { BlobRef } from '../wire/blob.js';
import { NAME_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { ExchangeLimits } from '../access/exchanges.js';
import { pageOf, pageQuery } from '../wire/page.js';
import { recordKind } from '../wire/record-kind.js';

/** The highest sequence that a number of JSON names exactly. */
export const MAX_SEQ = Number.MAX_SAFE_INTEGER;

/** Message types that KSI gives a meaning. Any other name is a type of the user's own. */
export const MESSAGE_TYPES = {
  DIRECT_MESSAGE: 'From one agent or person to another.',
  BROADCAST: 'To every agent of the owner that has subscribed to it.',
  TASK_ASSIGNMENT: 'A task; without an addressee it goes to the agent whose capabilities fit best.',
  CONVERSATION_INVITE: 'An invitation to a conversation.',
} as const;

/** Signals in an answer's text (docs/design/legacy-protocol.md#control-signals); they are cut from what is sent on. */
export const CONTROL_SIGNALS = { end: ['[END]', '[TERMINATE]'], silent: ['[NO_RESPONSE]'] } as const;

/** So many messages and tasks of agents lead to each other without a person's word; then the last one makes no task. */
export const MAX_HOPS = 50;

/** Bytes of a message's content and payload together: more would not fit through a WebSocket with others. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Bytes after which an answer with messages holds no further one. */
export const INBOX_PAGE_BYTES = 8 * 1024 * 1024;

/** Of a message that answers a task's failure or a refusal: no managed agent answers to it. */
export const MessageError = Type.Object({
  code: Type.String({ description: "Of the task's error, or of the refusal." }),
  message: Type.String(),
});
export type MessageError = Static<typeof MessageError>;

/** Of the UUIDv5 of what KSI itself sends: of an answer's task, of a copy's message and subscriber. Never changes. */
export const MESSAGE_NAMESPACE = 'b1a7c0de-3f0e-5d52-8a55-0d7d8a2b9c01';

/** What a client sends: POST /messages, and with `to` in the path POST /agents/:id/messages. */
const asked = {
  type: Type.Optional(Type.String({ pattern: MESSAGE_TYPE_PATTERN, default: 'DIRECT_MESSAGE' })),
  from: Type.Optional(
    Type.String({ pattern: AGENT_PATTERN, description: 'One of your agents. Absent: you, the owner of the token.' }),
  ),
  conversation_id: Type.Optional(Type.String({ pattern: NAME_PATTERN })),
  reply_to: Type.Optional(Type.String({ maxLength: 256, description: 'The message_id that this answers.' })),
  content: Type.Optional(Type.String({ description: 'The text.' })),
  payload: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Anything else, as JSON.' })),
  required_capabilities: Type.Optional(
    Type.Array(Type.String({ maxLength: 64 }), {
      maxItems: 64,
      description: 'TASK_ASSIGNMENT without `to`: the agent must have one of them.',
    }),
  ),
  exchange_limits: Type.Optional(ExchangeLimits),
  message_id: Type.Optional(
    Type.String({ format: 'uuid', description: 'Of yours: sent again, it is the same message. Default: a new one.' }),
  ),
};
export const MessageRequest = Type.Object(
  { to: Type.Optional(Type.String({ pattern: AGENT_PATTERN })), ...asked },
  { additionalProperties: false },
);
/** To the agent in the path. */
export const AddressedMessage = Type.Object(asked, { additionalProperties: false });
export type AddressedMessage = Static<typeof AddressedMessage>;
export type MessageRequest = Static<typeof MessageRequest>;

/**
 * A message: `data` of an AGENT_MESSAGE event, on `ksi.events.agent.<to>.message.<type>` (`_`: no addressee). KSI_MESSAGES takes it
 * from there, so whatever is an event is in the inbox, once (ADR 17). A copy for a subscriber is AGENT_COPY, on `….agent.<subscriber>.copy.<type>`.
 */
export const messageFields = {
  message_id: Type.String(),
  type: Type.String(),
  owner: Type.String(),
  from: Type.Optional(Type.String({ description: 'An agent. Absent: the owner, a person.' })),
  to: Type.Optional(Type.String()),
  /** Beside `to`, so that events of an agent are found as those of tasks are. */
  agent_id: Type.Optional(Type.String({ description: 'The addressee; of a message to nobody the sender.' })),
  conversation_id: Type.Optional(Type.String()),
  reply_to: Type.Optional(Type.String()),
  task_id: Type.Optional(Type.String({ description: 'The task whose answer this is.' })),
  token_id: Type.Optional(
    Type.String({ description: 'The token that it began with: what it leads to is charged to it.' }),
  ),
  output_ref: Type.Optional(
    Type.Object(BlobRef.properties, {
      description: 'In place of an answer of more than 4 MiB: GET /tasks/:task_id/output streams it.',
    }),
  ),
  error: Type.Optional(MessageError),
  signal: Type.Optional(Type.Literal('end', { description: 'The sender has ended: it said `[END]`, which is cut.' })),
  hops: Type.Integer({
    minimum: 0,
    description: 'Messages and tasks of agents that led to this one since a person or an external agent spoke.',
  }),
  exchange_id: Type.Optional(
    Type.String({ description: 'The message that it all began with: its own id, if that is this one.' }),
  ),
  replies: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: "Of a managed agent's answer: 1 answers a message, 2 answers an answer, and so on.",
    }),
  ),
  content: Type.Optional(Type.String()),
  payload: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  ref: Type.Optional(BlobRef),
};
export const Message = Type.Object(messageFields);
export type Message = Static<typeof Message>;

/** One message as an inbox gives it. */
export const InboxMessage = Type.Object({
  ...messageFields,
  seq: Type.Integer({ description: 'Its place in KSI_MESSAGES: messages come in this order.' }),
  timestamp: Type.String({ format: 'date-time' }),
});
export type InboxMessage = Static<typeof InboxMessage>;

export const MessageAccepted = Type.Object({
  message_id: Type.String(),
  status: Type.Enum(['delivered', 'queued', 'published'], {
    description:
      '`delivered`: its addressee reads its inbox now, or is managed; `queued`: it waits there; `published`: no addressee.',
  }),
  to: Type.Optional(Type.String()),
  copies: Type.Array(Type.String(), { description: 'Agents that get a copy, as they subscribed to its type.' }),
  since: Type.String({ description: 'A cursor from before it: what it leads to comes after.' }),
});
export type MessageAccepted = Static<typeof MessageAccepted>;

/** GET /agents/:id/inbox: what it has not taken, in order. Waits up to `wait` seconds for the first. */
export const InboxQuery = pageQuery({
  wait: Type.Optional(Type.Number({ minimum: 0, maximum: 60, default: 0 })),
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_SEQ,
      description: 'A `seq`: only those after it. Default: all that it has not taken.',
    }),
  ),
});
export type InboxQuery = Static<typeof InboxQuery>;
export const InboxPage = pageOf(InboxMessage, {});
export type InboxPage = Static<typeof InboxPage>;

/** POST /agents/:id/inbox/ack: all up to `seq` are taken, and never given again. Its receipt is an AGENT_DELIVERED event. */
export const InboxAck = Type.Object(
  { seq: Type.Integer({ minimum: 1, maximum: MAX_SEQ, description: 'Of the last message that it has taken.' }) },
  { additionalProperties: false },
);
export type InboxAck = Static<typeof InboxAck>;
export const InboxAcked = Type.Object({
  seq: Type.Integer({ description: 'All up to it are taken: higher than asked for, if that had been taken already.' }),
});
export type InboxAcked = Static<typeof InboxAcked>;

/** An inbox's position: an entry of `ksi_inboxes`, which never goes back. */
export const InboxPosition = Type.Object({ v: Type.Integer({ minimum: 1 }), seq: Type.Integer({ minimum: 0 }) });
export type InboxPosition = Static<typeof InboxPosition>;

export const INBOX_POSITIONS = recordKind(BUCKET.inboxes, InboxPosition, SUBJECT.inboxPosition, { markS: 1 });
