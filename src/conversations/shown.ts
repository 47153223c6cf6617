import type {
  Conversation,
  ConversationRecord,
  Speaker,
  SpeakerRecord,
} from '../../contracts/conversations/conversations.js';
import { NO_SESSION } from './conductor.js';
import { nextOf } from './turns.js';

/** A conversation as its owner sees it. Pure. */
export function shownOf(record: ConversationRecord): Conversation {
  const { speakers, moderated, floor, status } = record;
  const participants = moderated ? speakers.slice(0, -1) : speakers;
  const moderator = moderated ? speakers.at(-1) : undefined;
  const speaking = status === 'ended' || floor === undefined ? undefined : speakers[floor.speaker];
  return {
    conversation_id: record.conversation_id,
    owner: record.owner,
    topic: record.topic,
    mode: record.mode,
    status,
    ...(record.reason === undefined ? {} : { reason: record.reason }),
    ...(record.why === undefined ? {} : { why: record.why }),
    participants: participants.map(speakerOf),
    ...(moderator === undefined ? {} : { moderator: speakerOf(moderator) }),
    ...(speaking === undefined || floor === undefined
      ? {}
      : { speaking: { name: speaking.name, agent_id: speaking.agent_id, turn: floor.turn, since: floor.at } }),
    ...nextShown(record),
    turns: record.turns,
    lines: record.lines.length,
    cost_usd: record.cost_usd,
    max_turns: record.max_turns,
    max_duration_s: record.max_duration_s,
    turn_timeout_s: record.turn_timeout_s,
    ...(record.budget_usd === undefined ? {} : { budget_usd: record.budget_usd }),
    keep: record.keep,
    created_at: record.created_at,
    ends_by: record.ends_by,
    ...(record.ended_at === undefined ? {} : { ended_at: record.ended_at }),
  };
}

const speakerOf = ({ name, agent_id, part, turns, ended, made }: SpeakerRecord): Speaker => ({
  name,
  agent_id,
  part,
  turns,
  ...(ended === undefined ? {} : { ended }),
  ...(made?.session_id === undefined || made.session_id === NO_SESSION ? {} : { session_id: made.session_id }),
});

/** Who is next if the one that speaks now goes on as expected. */
function nextShown(record: ConversationRecord): { next?: string } {
  const { status, floor, round, turns, max_turns, speakers, moderated } = record;
  if (status === 'ended' || turns >= max_turns) return {};
  const after =
    floor === undefined
      ? record
      : {
          ...record,
          round: moderated && floor.speaker === speakers.length - 1 ? 0 : round + 1,
          last: floor.speaker,
        };
  const name = speakers[nextOf(after)?.speaker ?? -1]?.name;
  return name === undefined ? {} : { next: name };
}
