import { Type, type Static } from 'typebox';
import { AGENT_PATTERN } from '../agents/agents.js';
import { ApprovalAnswer, APPROVAL_ID_PATTERN, type ApprovalResolved } from '../tasks/approvals.js';
import { MessageRequest, MAX_SEQ, type InboxMessage, type MessageAccepted } from '../agents/messages.js';

const id = Type.String({ minLength: 1, maxLength: 128 });

/** Frames of `GET /events` (WebSocket). An event itself is an EventEnvelope. Text `ping` is answered `pong`. */
export const ClientFrame = Type.Union([
  // What comes for the agent is pushed, in order, from now on: this connection reads its inbox, and no other does any more.
  Type.Object(
    { op: Type.Literal('attach'), id, agent_id: Type.String({ pattern: AGENT_PATTERN }) },
    { additionalProperties: false },
  ),
  // All messages of the attachment up to `seq` are taken.
  Type.Object(
    { op: Type.Literal('ack'), id, seq: Type.Integer({ minimum: 1, maximum: MAX_SEQ }) },
    { additionalProperties: false },
  ),
  Type.Object({ op: Type.Literal('detach'), id }, { additionalProperties: false }),
  Type.Object({ op: Type.Literal('send'), id, message: MessageRequest }, { additionalProperties: false }),
  Type.Object(
    {
      op: Type.Literal('subscribe'),
      id: Type.String({ minLength: 1, maxLength: 128 }),
      subjects: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { minItems: 1, maxItems: 64 }),
      since: Type.Optional(Type.String()),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    { op: Type.Literal('unsubscribe'), id: Type.String({ minLength: 1, maxLength: 128 }) },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      op: Type.Literal('approve'),
      id: Type.String({ minLength: 1, maxLength: 128 }),
      approval_id: Type.String({ pattern: APPROVAL_ID_PATTERN }),
      ...ApprovalAnswer.properties,
    },
    { additionalProperties: false },
  ),
]);
export type ClientFrame = Static<typeof ClientFrame>;

/** Events that were asked for and are no longer kept: those with a `seq` from `from` to `to`. */
export interface GapFrame {
  op: 'gap';
  from: number;
  to: number;
  id?: string;
}

export type ServerFrame =
  | { op: 'subscribed'; id: string; seq: number }
  | { op: 'unsubscribed'; id: string }
  | ({ op: 'approved'; id: string } & Omit<ApprovalResolved, 'task_id'>)
  | { op: 'attached'; id: string; agent_id: string }
  | { op: 'message'; id: string; message: InboxMessage }
  | { op: 'acked'; id: string; seq: number }
  | { op: 'detached'; id: string; reason: DetachReason }
  | { op: 'sent'; id: string; accepted: MessageAccepted }
  | GapFrame
  | { op: 'error'; code: string; status?: number; message: string; id?: string; request_id?: string };

/** `replaced`: another connection reads the inbox now. `asked`: by the client. `removed`: the agent was. */
export type DetachReason = 'replaced' | 'removed' | 'asked';
/** So many messages are pushed to an attached client that it has not acknowledged; then the next wait. */
export const ATTACH_WINDOW = 100;

export const EventsQuery = Type.Object(
  {
    since: Type.Optional(
      Type.String({ description: 'Cursor of the last event seen: what came after it is sent first.' }),
    ),
    ticket: Type.Optional(Type.String({ description: 'From POST /tickets, for browsers; good once, for 30 s.' })),
    subject: Type.Optional(
      Type.String({ description: 'Pattern below `ksi.events.` or `ksi.live.`; `*` one token, `>` the rest.' }),
    ),
  },
  { additionalProperties: false },
);
export type EventsQuery = Static<typeof EventsQuery>;

export const SUBPROTOCOL = 'ksi.v1';
/** A client that has so much unread is closed with CLOSE.tooSlow. */
export const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
/** A client's frames are small: larger ones close the connection (1009). */
export const MAX_CLIENT_FRAME_BYTES = 64 * 1024;
/** A connection without `since` and filter first gets the outcomes of its owner's tasks that are no older. */
export const RECENT_OUTCOMES_MS = 5_000;
