import type {
  Conversation,
  ConversationRecord,
  Participant,
  ParticipantRecord,
} from '../../contracts/conversations/conversations.js';
import type { VersionedConversation } from './records.js';
import { nextTurn } from './turns.js';
import { defined } from '../defined.js';

/** Pure. The conversation as the API answers with it. */
export function toConversationView({ record, revision }: VersionedConversation): Conversation {
  const { participants, moderated, current_turn: turn, status } = record;
  const moderator = moderated ? participants.at(-1) : undefined;
  const speaking = status === 'ended' || turn === undefined ? undefined : participants[turn.participant];
  return defined({
    conversation_id: record.conversation_id,
    owner: record.owner,
    topic: record.topic,
    mode: record.mode,
    status,
    reason: record.reason,
    error: record.error,
    participants: (moderated ? participants.slice(0, -1) : participants).map(toParticipant),
    ...(moderator === undefined ? {} : { moderator: toParticipant(moderator) }),
    ...(speaking === undefined || turn === undefined
      ? {}
      : { speaking: { name: speaking.name, agent_id: speaking.agent_id, turn: turn.turn, since: turn.at } }),
    ...nextSpeaker(record),
    turns: record.turns,
    lines: record.lines.length,
    cost_usd: record.cost_usd,
    max_turns: record.max_turns,
    max_duration_s: record.max_duration_s,
    turn_timeout_s: record.turn_timeout_s,
    budget_usd: record.budget_usd,
    keep: record.keep,
    revision,
    created_at: record.created_at,
    ends_by: record.ends_by,
    ended_at: record.ended_at,
  });
}

const toParticipant = ({ name, agent_id, part, turns, ended, registration }: ParticipantRecord): Participant =>
  defined({
    name,
    agent_id,
    part,
    turns,
    ended,
    ...(registration?.session_id === undefined ? {} : { session_id: registration.session_id }),
  });

/** The participant who speaks next, provided that the current turn ends with a plain answer. */
function nextSpeaker(record: ConversationRecord): { next?: string } {
  const { status, current_turn: turn, round, turns, max_turns, participants, moderated } = record;
  if (status === 'ended' || turns >= max_turns) return {};
  const after =
    turn === undefined
      ? record
      : {
          ...record,
          round: moderated && turn.participant === participants.length - 1 ? 0 : round + 1,
          last: turn.participant,
        };
  const name = participants[nextTurn(after)?.participant ?? -1]?.name;
  return name === undefined ? {} : { next: name };
}
