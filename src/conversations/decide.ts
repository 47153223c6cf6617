import { v5 as uuidv5 } from 'uuid';
import type {
  ConversationRecord,
  EndReason,
  Floor,
  LineRecord,
  SpeakerRecord,
} from '../../contracts/conversations/conversations.js';
import { addUsd } from '../../contracts/wire/money.js';
import { endOf, moderatorOf, nextOf } from './turns.js';

/** What has happened to a conversation. */
export type Happening =
  /** It was made. */
  | { readonly kind: 'begin' }
  /** A speaker has answered to the message that gave it the word. */
  | {
      readonly kind: 'answer';
      readonly messageId: string;
      /** Of the answer: it is the line's. */
      readonly id: string;
      /** Without the signals; where the text is too large for an entry, only its reference goes along. */
      readonly text: Pick<LineRecord, 'text' | 'ref'>;
      readonly ends: boolean;
      /** Whom a moderator has named. */
      readonly names: string | undefined;
      readonly taskId: string | undefined;
      readonly costUsd: number;
    }
  /** Its turn brought nothing. */
  | {
      readonly kind: 'failure';
      readonly messageId: string;
      readonly error: string;
      readonly taskId: string | undefined;
      readonly costUsd: number;
    }
  /** A person says something. */
  | {
      readonly kind: 'say';
      readonly id: string;
      readonly name: string;
      readonly text: Pick<LineRecord, 'text' | 'ref'>;
      readonly next: number | undefined;
    }
  | { readonly kind: 'pause' | 'resume' | 'end'; readonly by: string }
  /** It can't go on. */
  | { readonly kind: 'fail'; readonly why: string }
  /** The message that gave a turn is stored. */
  | { readonly kind: 'sent'; readonly turn: number }
  /** An agent that was made for it is registered, or removed. */
  | { readonly kind: 'registered'; readonly speaker: number; readonly sessionId: string }
  | { readonly kind: 'removed'; readonly speaker: number }
  /** A turn that nobody waits for any more is cancelled, or over. */
  | { readonly kind: 'cancelled'; readonly messageId: string }
  /** What came of it, too late to be heard. */
  | { readonly kind: 'late'; readonly messageId: string; readonly costUsd: number }
  /** These events are stored. */
  | { readonly kind: 'told'; readonly events: ReadonlySet<string> }
  /** Time has passed. */
  | { readonly kind: 'time' };

export interface Decision {
  readonly record: ConversationRecord;
  /** To be stored before the record is. */
  readonly line?: LineRecord;
}

/** Failures in succession after which a speaker speaks no more. */
const MOST_FAILURES = 2;
/** What is kept of an error's text. */
const MOST_ERROR_CHARS = 2_000;
/** Never changes: ids of turns and events derive from it. */
const NAMESPACE = 'd6b3f3f2-6a35-5b0e-8f0c-2b1f5d1c9a77';

/** The id of the message that gives a turn: the same whoever gives it, and however often. */
export const turnMessageId = (conversationId: string, turn: number): string =>
  uuidv5(`${conversationId}/turn/${turn}`, NAMESPACE);

/**
 * Pure: what a conversation becomes by what has happened, and who has the word then. Whatever comes twice, or too late, changes nothing.
 * @param now in ms since 1970. @returns undefined: nothing changes.
 */
export function decide(record: ConversationRecord, happening: Happening, now: number): Decision | undefined {
  switch (happening.kind) {
    case 'sent':
      return record.floor?.turn === happening.turn && !record.floor.sent
        ? { record: { ...record, floor: { ...record.floor, sent: true } } }
        : undefined;
    case 'told':
      return { record: { ...record, pending: record.pending.filter(({ id }) => !happening.events.has(id)) } };
    case 'registered':
      // Whoever was ending it may have looked for the agent before it was there.
      return { record: made(record, happening.speaker, { session_id: happening.sessionId, removed: false }) };
    case 'removed':
      return { record: made(record, happening.speaker, { removed: true }) };
    case 'cancelled':
      return {
        record: {
          ...record,
          abandoned: record.abandoned.map((turn) =>
            turn.message_id === happening.messageId ? { ...turn, cancelled: true } : turn,
          ),
        },
      };
    case 'late':
      return late(record, happening);
    case 'answer':
    case 'failure':
      return heard(record, happening, now);
    default:
      return record.status === 'ended' ? undefined : steered(record, happening, now);
  }
}

type Turned = Extract<Happening, { kind: 'answer' | 'failure' }>;
type Steered = Exclude<Happening, Turned | { kind: 'sent' | 'told' | 'registered' | 'removed' | 'cancelled' | 'late' }>;

function steered(record: ConversationRecord, happening: Steered, now: number): Decision | undefined {
  const { status, floor } = record;
  switch (happening.kind) {
    case 'begin':
      return { record: goOn(started(record, now), now) };
    case 'pause':
      if (status === 'paused') return undefined;
      return {
        record: tell({ ...record, status: 'paused', paused_at: iso(now) }, 'CONVERSATION_PAUSED', now, by(happening)),
      };
    case 'resume':
      return status === 'paused' ? { record: goOn(resumed(record, happening, now), now) } : undefined;
    case 'end':
      return { record: ended(record, 'decision', now, by(happening)) };
    case 'fail':
      return failedFor(record, cut(happening.why), now);
    case 'say':
      return said(record, happening, now);
    case 'time':
      return status === 'paused' ? undefined : passed(record, floor, now);
    default:
      return undefined;
  }
}

const failedFor = (record: ConversationRecord, why: string, now: number): Decision => ({
  record: ended({ ...record, why }, 'failed', now, { why }),
});

/** Time has passed. */
function passed(record: ConversationRecord, floor: Floor | undefined, now: number): Decision | undefined {
  if (now >= Date.parse(record.ends_by)) return { record: ended(record, 'time', now) };
  if (floor === undefined) return { record: goOn(record, now) };
  return now < Date.parse(floor.until) ? undefined : timedOut(record, floor, now);
}

const cut = (error: string): string => error.slice(0, MOST_ERROR_CHARS);
const by = ({ by }: { readonly by: string }): { by: string } => ({ by });
const iso = (ms: number): string => new Date(ms).toISOString();

const started = (record: ConversationRecord, now: number): ConversationRecord =>
  tell(record, 'CONVERSATION_STARTED', now, {
    topic: record.topic,
    mode: record.mode,
    participants: record.speakers.map(({ name, agent_id, part }) => ({ name, agent_id, part })),
  });

function resumed(
  { paused_at, ...record }: ConversationRecord,
  happening: { readonly by: string },
  now: number,
): ConversationRecord {
  const paused = paused_at === undefined ? 0 : Math.max(0, now - Date.parse(paused_at));
  const later = (time: string): string => iso(Date.parse(time) + paused);
  const { floor } = record;
  const again: ConversationRecord = {
    ...record,
    status: 'running',
    ends_by: later(record.ends_by),
    ...(floor === undefined ? {} : { floor: { ...floor, until: later(floor.until) } }),
  };
  return tell(again, 'CONVERSATION_RESUMED', now, by(happening));
}

function said(
  record: ConversationRecord,
  { id, name, text, next }: Extract<Happening, { kind: 'say' }>,
  now: number,
): Decision | undefined {
  if (record.lines.includes(id)) return undefined;
  const line: LineRecord = { id, kind: 'person', name, at: iso(now), ...text };
  const named: ConversationRecord = next === undefined ? record : { ...record, named: next };
  return { record: goOn(withLine({ ...named, silent: 0 }, line, now), now), line };
}

const timedOut = (record: ConversationRecord, floor: Floor, now: number): Decision | undefined =>
  heard(
    abandon(record),
    {
      kind: 'failure',
      messageId: floor.message_id,
      error: `No answer within ${record.turn_timeout_s} s`,
      taskId: undefined,
      costUsd: 0,
    },
    now,
  );

/** Nobody waits for the turn under way any more. */
function abandon(record: ConversationRecord): ConversationRecord {
  const { floor, speakers, abandoned } = record;
  const agentId = speakers[floor?.speaker ?? -1]?.agent_id;
  if (floor === undefined || agentId === undefined) return record;
  return { ...record, abandoned: [...abandoned, { message_id: floor.message_id, agent_id: agentId }] };
}

/** It costs, once, and is not heard any more. The next turn is given by what all have cost. */
function late(
  { abandoned, cost_usd, ...record }: ConversationRecord,
  { messageId, costUsd }: { readonly messageId: string; readonly costUsd: number },
): Decision | undefined {
  const left = abandoned.filter(({ message_id }) => message_id !== messageId);
  if (left.length === abandoned.length) return undefined;
  return { record: { ...record, abandoned: left, cost_usd: addUsd(cost_usd, costUsd) } };
}

/** After a speaker's turn. */
function heard(record: ConversationRecord, happening: Turned, now: number): Decision | undefined {
  const { floor, cost_usd } = record;
  if (record.status === 'ended' || floor?.message_id !== happening.messageId) return late(record, happening);
  const { floor: _floor, ...rest } = { ...record, cost_usd: addUsd(cost_usd, happening.costUsd) };
  const speaker = record.speakers[floor.speaker];
  if (speaker === undefined) return { record: rest };
  const line = lineOf(floor, speaker, happening, now);
  const moderates = floor.speaker === moderatorOf(record);
  const changed: ConversationRecord = {
    ...rest,
    speakers: record.speakers.map((each, place) =>
      place === floor.speaker ? after(each, floor, happening, line) : each,
    ),
    round: moderates ? 0 : record.round + 1,
    silent: moderates || line.kind === 'failed' ? record.silent : line.kind === 'passed' ? record.silent + 1 : 0,
    ...(moderates ? {} : { last: floor.speaker }),
  };
  const spoken = withLine(changed, line, now);
  if (happening.kind === 'failure' || !moderates) return { record: goOn(spoken, now), line };
  if (happening.ends) return { record: ended(spoken, 'moderator', now), line };
  const named = spoken.speakers.findIndex(({ name }) => name === happening.names);
  return { record: goOn(named === -1 ? spoken : { ...spoken, named }, now), line };
}

function after(speaker: SpeakerRecord, floor: Floor, happening: Turned, line: LineRecord): SpeakerRecord {
  if (line.kind === 'failed') {
    const failures = speaker.failures + 1;
    // What it was told is told again.
    const heard = floor.from_line;
    return { ...speaker, heard, failures, ...(failures >= MOST_FAILURES ? { ended: 'failed' as const } : {}) };
  }
  const ends = happening.kind === 'answer' && happening.ends;
  return {
    ...speaker,
    turns: speaker.turns + 1,
    failures: 0,
    ...(ends ? { ended: 'signal' as const } : {}),
  };
}

function lineOf(
  { turn, message_id }: Floor,
  { name, agent_id, part }: SpeakerRecord,
  happening: Turned,
  now: number,
): LineRecord {
  const { taskId, costUsd } = happening;
  const common = {
    name,
    agent_id,
    part,
    turn,
    at: iso(now),
    ...(taskId === undefined ? {} : { task_id: taskId }),
    ...(costUsd === 0 ? {} : { cost_usd: costUsd }),
  };
  if (happening.kind === 'failure') return { id: message_id, kind: 'failed', ...common, error: cut(happening.error) };
  const { id, text } = happening;
  const empty = text.ref === undefined && (text.text ?? '').trim() === '';
  return { id, kind: empty ? 'passed' : 'said', ...common, ...(empty ? {} : text) };
}

function withLine(record: ConversationRecord, line: LineRecord, now: number): ConversationRecord {
  const { text: _text, ref: _ref, ...data } = line;
  const next = { ...record, lines: [...record.lines, line.id] };
  const type = line.kind === 'person' ? 'CONVERSATION_SAID' : 'CONVERSATION_TURN';
  return tell(next, type, now, { ...data, line: next.lines.length, total_cost_usd: next.cost_usd }, line.id);
}

/** Gives the word to whom it is due, if it is due to anybody now, or ends what is over. */
function goOn(record: ConversationRecord, now: number): ConversationRecord {
  if (record.status !== 'running' || record.floor !== undefined) return record;
  const reason = endOf(record, now);
  if (reason !== undefined) return ended(record, reason, now);
  const next = nextOf(record);
  const speaker = next === undefined ? undefined : record.speakers[next.speaker];
  if (next === undefined || speaker === undefined) return ended(record, 'failed', now);
  const turn = record.turns + 1;
  const { named: _named, ...rest } = record;
  const floor: Floor = {
    turn,
    speaker: next.speaker,
    message_id: turnMessageId(record.conversation_id, turn),
    from_line: speaker.heard,
    to_line: record.lines.length,
    at: iso(now),
    until: iso(Math.min(now + record.turn_timeout_s * 1_000, Date.parse(record.ends_by))),
    sent: false,
  };
  const speakers = record.speakers.map((each, place) =>
    place === next.speaker ? { ...each, heard: record.lines.length } : each,
  );
  return { ...rest, speakers, turns: turn, at: next.at, floor };
}

function ended(record: ConversationRecord, reason: EndReason, now: number, more: object = {}): ConversationRecord {
  const { turns, cost_usd } = record;
  const over: ConversationRecord = {
    ...abandon(record),
    speakers: record.speakers.map(withoutOptions),
    status: 'ended',
    reason,
    ended_at: iso(now),
  };
  return tell(over, 'CONVERSATION_ENDED', now, { reason, turns, total_cost_usd: cost_usd, ...more });
}

/** No more are made with them. So a record ends with less than it had: that is stored whatever size it was. */
function withoutOptions({ made, ...speaker }: SpeakerRecord): SpeakerRecord {
  if (made === undefined) return speaker;
  const { options: _options, ...rest } = made;
  return { ...speaker, made: rest };
}

function tell(
  record: ConversationRecord,
  type: string,
  now: number,
  data: Record<string, unknown>,
  line?: string,
): ConversationRecord {
  const events = record.events + 1;
  const event = {
    id: uuidv5(`${record.conversation_id}/event/${events}`, NAMESPACE),
    type,
    at: iso(now),
    data: { conversation_id: record.conversation_id, owner: record.owner, ...data },
    ...(line === undefined ? {} : { line }),
  };
  return { ...record, events, pending: [...record.pending, event] };
}

const made = (
  record: ConversationRecord,
  place: number,
  change: Partial<NonNullable<SpeakerRecord['made']>>,
): ConversationRecord => ({
  ...record,
  speakers: record.speakers.map((each, at) =>
    at === place && each.made !== undefined ? { ...each, made: { ...each.made, ...change } } : each,
  ),
});
