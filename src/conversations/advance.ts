import { v5 as uuidv5 } from 'uuid';
import type {
  ConversationRecord,
  EndReason,
  LineRecord,
  ParticipantRecord,
  Turn,
} from '../../contracts/conversations/conversations.js';
import { endReason, nextTurn } from './turns.js';
import { defined } from '../defined.js';

/** The ids of turns and events derive from this namespace. It must never change. */
const NAMESPACE = 'd6b3f3f2-6a35-5b0e-8f0c-2b1f5d1c9a77';

/** The id of the message that begins a turn. Every API derives the same id, so a repeated message is stored once. */
export const turnMessageId = (conversationId: string, turn: number): string =>
  uuidv5(`${conversationId}/turn/${turn}`, NAMESPACE);

export const iso = (ms: number): string => new Date(ms).toISOString();

/** Pure. Begins the next turn if a turn is due, or ends the conversation if it is over. */
export function advance(record: ConversationRecord, now: number): ConversationRecord {
  if (record.status !== 'running' || record.current_turn !== undefined) return record;
  const reason = endReason(record, now);
  if (reason !== undefined) return ended(record, reason, now);
  const next = nextTurn(record);
  const participant = next === undefined ? undefined : record.participants[next.participant];
  if (next === undefined || participant === undefined) return ended(record, 'failed', now);
  const turn = record.turns + 1;
  const { next_speaker: _nextSpeaker, ...rest } = record;
  const current: Turn = {
    turn,
    participant: next.participant,
    message_id: turnMessageId(record.conversation_id, turn),
    from_line: participant.lines_read,
    to_line: record.lines.length,
    at: iso(now),
    until: iso(Math.min(now + record.turn_timeout_s * 1_000, Date.parse(record.ends_by))),
    sent: false,
  };
  const participants = record.participants.map((each, index) =>
    index === next.participant ? { ...each, lines_read: record.lines.length } : each,
  );
  return { ...rest, participants, turns: turn, order_position: next.orderPosition, current_turn: current };
}

/** Pure. */
export function ended(
  record: ConversationRecord,
  reason: EndReason,
  now: number,
  more: object = {},
): ConversationRecord {
  const { turns, cost_usd } = record;
  const over: ConversationRecord = {
    ...withTurnAbandoned(record),
    participants: record.participants.map(withoutOptions),
    status: 'ended',
    reason,
    ended_at: iso(now),
  };
  return withEvent(over, 'CONVERSATION_ENDED', now, { reason, turns, total_cost_usd: cost_usd, ...more });
}

/** An ended conversation registers no agents. Without their options its record is smaller, so the broker accepts it at any size. */
function withoutOptions({ registration, ...participant }: ParticipantRecord): ParticipantRecord {
  if (registration === undefined) return participant;
  const { options: _options, ...rest } = registration;
  return { ...participant, registration: rest };
}

/** Pure. The conversation no longer waits for the current turn, whose task will be cancelled. */
export function withTurnAbandoned(record: ConversationRecord): ConversationRecord {
  const { current_turn: turn, participants, abandoned } = record;
  const agentId = participants[turn?.participant ?? -1]?.agent_id;
  if (turn === undefined || agentId === undefined) return record;
  return { ...record, abandoned: [...abandoned, { message_id: turn.message_id, agent_id: agentId }] };
}

/** Pure. Adds the line and its event. */
export function withLine(record: ConversationRecord, line: LineRecord, now: number): ConversationRecord {
  const { text: _text, ref: _ref, ...data } = line;
  const next = { ...record, lines: [...record.lines, line.id] };
  const type = line.kind === 'person' ? 'CONVERSATION_SAID' : 'CONVERSATION_TURN';
  return withEvent(next, type, now, { ...data, line: next.lines.length, total_cost_usd: next.cost_usd }, line.id);
}

/** Pure. Adds an event for the outbox to publish. @param line the line whose text the event contains. */
export function withEvent(
  record: ConversationRecord,
  type: string,
  now: number,
  data: Record<string, unknown>,
  line?: string,
): ConversationRecord {
  const events = record.events + 1;
  const event = defined({
    id: uuidv5(`${record.conversation_id}/event/${events}`, NAMESPACE),
    type,
    at: iso(now),
    data: { conversation_id: record.conversation_id, owner: record.owner, ...data },
    line,
  });
  return { ...record, events, pending: [...record.pending, event] };
}
