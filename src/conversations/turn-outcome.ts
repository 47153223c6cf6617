import type {
  ConversationRecord,
  LineRecord,
  ParticipantRecord,
  Turn,
} from '../../contracts/conversations/conversations.js';
import { addUsd } from '../../contracts/wire/money.js';
import { advance, ended, iso, withLine } from './advance.js';
import type { Transition, TurnOutcome } from './trigger.js';
import { moderatorOf } from './turns.js';
import { defined } from '../defined.js';

/** A participant has no more turns after this many failures in succession. */
const MAX_FAILURES = 2;
const MAX_ERROR_CHARS = 2_000;

export const truncateError = (error: string): string => error.slice(0, MAX_ERROR_CHARS);

/** Pure. Ends the current turn with its outcome. The outcome of any other turn only counts its cost. */
export function endTurn(record: ConversationRecord, outcome: TurnOutcome, now: number): Transition | undefined {
  const { current_turn: turn, cost_usd } = record;
  if (record.status === 'ended' || turn?.message_id !== outcome.messageId) return countLateCost(record, outcome);
  const { current_turn: _turn, ...rest } = { ...record, cost_usd: addUsd(cost_usd, outcome.costUsd) };
  const participant = record.participants[turn.participant];
  if (participant === undefined) return { record: rest };
  const line = lineOf(turn, participant, outcome, now);
  const isModerator = turn.participant === moderatorOf(record);
  const changed: ConversationRecord = {
    ...rest,
    participants: record.participants.map((each, index) =>
      index === turn.participant ? afterTurn(each, turn, outcome) : each,
    ),
    round: isModerator ? 0 : record.round + 1,
    silent: isModerator || line.kind === 'failed' ? record.silent : line.kind === 'passed' ? record.silent + 1 : 0,
    ...(isModerator ? {} : { last: turn.participant }),
  };
  const next = withLine(changed, line, now);
  if (outcome.kind === 'failure' || !isModerator) return { record: advance(next, now), line };
  if (outcome.ends) return { record: ended(next, 'moderator', now), line };
  const nextSpeaker = next.participants.findIndex(({ name }) => name === outcome.nextSpeaker);
  return { record: advance(nextSpeaker === -1 ? next : { ...next, next_speaker: nextSpeaker }, now), line };
}

/** Pure. Adds the cost of an abandoned turn, once, so that the budget covers it. */
export function countLateCost(
  { abandoned, cost_usd, ...record }: ConversationRecord,
  { messageId, costUsd }: { readonly messageId: string; readonly costUsd: number },
): Transition | undefined {
  const others = abandoned.filter(({ message_id }) => message_id !== messageId);
  if (others.length === abandoned.length) return undefined;
  return { record: { ...record, abandoned: others, cost_usd: addUsd(cost_usd, costUsd) } };
}

function afterTurn(participant: ParticipantRecord, turn: Turn, outcome: TurnOutcome): ParticipantRecord {
  if (outcome.kind === 'failure') {
    const failures = participant.failures + 1;
    // The next turn's message repeats the lines of the failed turn's message.
    const lines_read = turn.from_line;
    return { ...participant, lines_read, failures, ...(failures >= MAX_FAILURES ? { ended: 'failed' as const } : {}) };
  }
  return {
    ...participant,
    turns: participant.turns + 1,
    failures: 0,
    ...(outcome.ends ? { ended: 'signal' as const } : {}),
  };
}

function lineOf(
  { turn, message_id }: Turn,
  { name, agent_id, part }: ParticipantRecord,
  outcome: TurnOutcome,
  now: number,
): LineRecord {
  const { taskId, costUsd } = outcome;
  const common = defined({
    name,
    agent_id,
    part,
    turn,
    at: iso(now),
    task_id: taskId,
    ...(costUsd === 0 ? {} : { cost_usd: costUsd }),
  });
  if (outcome.kind === 'failure')
    return { id: message_id, kind: 'failed', ...common, error: truncateError(outcome.error) };
  const { id, text } = outcome;
  const empty = text.ref === undefined && (text.text ?? '').trim() === '';
  return { id, kind: empty ? 'passed' : 'said', ...common, ...(empty ? {} : text) };
}
