import type {
  ConversationRecord,
  LineRecord,
  ParticipantRecord,
  Turn,
} from '../../contracts/conversations/conversations.js';
import { advance, ended, iso, withEvent, withLine, withTurnAbandoned } from './advance.js';
import type { ControlTrigger, Transition, Trigger } from './trigger.js';
import { countLateCost, endTurn, truncateError } from './turn-outcome.js';
import { defined } from '../defined.js';

/**
 * Pure. A conversation's next state after a trigger. A repeated or late trigger changes nothing.
 * @param now in ms since 1970. @returns undefined if nothing changes.
 */
export function transition(record: ConversationRecord, trigger: Trigger, now: number): Transition | undefined {
  switch (trigger.kind) {
    case 'sent':
      return record.current_turn?.turn === trigger.turn && !record.current_turn.sent
        ? { record: { ...record, current_turn: { ...record.current_turn, sent: true } } }
        : undefined;
    case 'published':
      return { record: { ...record, pending: record.pending.filter(({ id }) => !trigger.events.has(id)) } };
    case 'registered':
      // The end of the conversation may have removed this agent before it was registered. Then it must be removed again.
      return {
        record: withRegistration(
          record,
          trigger.participant,
          defined({
            state: 'registered',
            session_id: trigger.sessionId,
          }),
        ),
      };
    case 'removed':
      return { record: withRegistration(record, trigger.participant, { state: 'removed' }) };
    case 'cancelled':
      return {
        record: {
          ...record,
          abandoned: record.abandoned.map((turn) =>
            turn.message_id === trigger.messageId ? { ...turn, cancelled: true } : turn,
          ),
        },
      };
    case 'late':
      return countLateCost(record, trigger);
    case 'answer':
    case 'failure':
      return endTurn(record, trigger, now);
    default:
      return record.status === 'ended' ? undefined : control(record, trigger, now);
  }
}

function control(record: ConversationRecord, trigger: ControlTrigger, now: number): Transition | undefined {
  const { status, current_turn: turn } = record;
  switch (trigger.kind) {
    case 'begin':
      return { record: advance(started(record, now), now) };
    case 'pause':
      if (status === 'paused') return undefined;
      return {
        record: withEvent({ ...record, status: 'paused', paused_at: iso(now) }, 'CONVERSATION_PAUSED', now, {
          by: trigger.by,
        }),
      };
    case 'resume':
      return status === 'paused' ? { record: advance(resumed(record, trigger.by, now), now) } : undefined;
    case 'end':
      return { record: ended(record, 'decision', now, { by: trigger.by }) };
    case 'fail': {
      const why = truncateError(trigger.why);
      return { record: ended({ ...record, error: why }, 'failed', now, { error: why }) };
    }
    case 'say':
      return addPersonLine(record, trigger, now);
    default:
      return status === 'paused' ? undefined : checkDeadlines(record, turn, now);
  }
}

function checkDeadlines(record: ConversationRecord, turn: Turn | undefined, now: number): Transition | undefined {
  if (now >= Date.parse(record.ends_by)) return { record: ended(record, 'time', now) };
  if (turn === undefined) return { record: advance(record, now) };
  return now < Date.parse(turn.until) ? undefined : timeOut(record, turn, now);
}

const started = (record: ConversationRecord, now: number): ConversationRecord =>
  withEvent(record, 'CONVERSATION_STARTED', now, {
    topic: record.topic,
    mode: record.mode,
    participants: record.participants.map(({ name, agent_id, part }) => ({ name, agent_id, part })),
  });

/** Moves all deadlines by the length of the pause. */
function resumed({ paused_at, ...record }: ConversationRecord, by: string, now: number): ConversationRecord {
  const pausedMs = paused_at === undefined ? 0 : Math.max(0, now - Date.parse(paused_at));
  const later = (time: string): string => iso(Date.parse(time) + pausedMs);
  const { current_turn: turn } = record;
  const running: ConversationRecord = {
    ...record,
    status: 'running',
    ends_by: later(record.ends_by),
    ...(turn === undefined ? {} : { current_turn: { ...turn, until: later(turn.until) } }),
  };
  return withEvent(running, 'CONVERSATION_RESUMED', now, { by });
}

function addPersonLine(
  record: ConversationRecord,
  { id, name, text, next }: Extract<Trigger, { kind: 'say' }>,
  now: number,
): Transition | undefined {
  if (record.lines.includes(id)) return undefined;
  const line: LineRecord = { id, kind: 'person', name, at: iso(now), ...text };
  const changed: ConversationRecord = { ...record, silent: 0, ...(next === undefined ? {} : { next_speaker: next }) };
  return { record: advance(withLine(changed, line, now), now), line };
}

const timeOut = (record: ConversationRecord, turn: Turn, now: number): Transition | undefined =>
  endTurn(
    withTurnAbandoned(record),
    {
      kind: 'failure',
      messageId: turn.message_id,
      error: `No answer within ${record.turn_timeout_s} s`,
      taskId: undefined,
      costUsd: 0,
    },
    now,
  );

const withRegistration = (
  record: ConversationRecord,
  index: number,
  change: Partial<NonNullable<ParticipantRecord['registration']>>,
): ConversationRecord => ({
  ...record,
  participants: record.participants.map((each, at) =>
    at === index && each.registration !== undefined
      ? { ...each, registration: { ...each.registration, ...change } }
      : each,
  ),
});
