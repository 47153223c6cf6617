import { Type, type Static } from 'typebox';
import { ApprovalAnswer, APPROVAL_ID_PATTERN } from './approvals.js';

/** Frames of `GET /events` (WebSocket). An event itself is an EventEnvelope. Text `ping` is answered `pong`. */
export const ClientFrame = Type.Union([
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
  | { op: 'approved'; id: string; approval_id: string; decision: string }
  | GapFrame
  | { op: 'error'; code: string; status?: number; message: string; id?: string };

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
