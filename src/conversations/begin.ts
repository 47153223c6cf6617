import {
  CONVERSATION_DEFAULTS,
  MOST_LINES,
  MOST_RECORD_BYTES,
  type ConversationRecord,
  type ConversationRequest,
  type ParticipantRequest,
  type SpeakerRecord,
} from '../../contracts/conversations/conversations.js';
import { MOST_RUN_USD } from '../../contracts/tasks/claude-options.js';
import type { Fault } from '../../contracts/wire/check.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import { MODERATOR, MODES, partOf } from './modes.js';

export interface BeginOptions {
  readonly conversationId: string;
  readonly owner: string;
  readonly tokenId: string;
  /** In ms since 1970. */
  readonly now: number;
}

const DEFAULT_AGENTS = 2;

/** What of a request its schema can't tell. Pure. */
export function faultsOf(request: ConversationRequest): Fault[] {
  const { mode, agents, participants, moderator } = request;
  const faults: Fault[] = [];
  if (agents !== undefined && participants !== undefined)
    faults.push({ field: 'agents', message: 'cannot be given together with `participants`' });
  const count = participants?.length ?? agents ?? DEFAULT_AGENTS;
  const { least, most } = MODES[mode];
  if (count < least || count > most)
    faults.push({
      field: participants === undefined ? 'agents' : 'participants',
      message: `must be ${least} to ${most} in a ${mode}`,
    });
  const all: [string, ParticipantRequest][] = (participants ?? []).map((each, at) => [`participants.${at}`, each]);
  if (typeof moderator === 'object') all.push(['moderator', moderator]);
  for (const [field, { agent_id, name: _name, ...others }] of all)
    for (const other of agent_id === undefined ? [] : Object.keys(others))
      faults.push({ field: `${field}.${other}`, message: 'cannot be given together with `agent_id`' });
  return [...faults, ...doubles(all, 'agent_id'), ...doubles(all, 'name')];
}

function doubles(all: readonly [string, ParticipantRequest][], field: 'agent_id' | 'name'): Fault[] {
  const seen = new Set<string>();
  return all.flatMap(([path, { [field]: value }]) => {
    if (value === undefined) return [];
    if (seen.has(value)) return [{ field: `${path}.${field}`, message: 'is given twice' }];
    seen.add(value);
    return [];
  });
}

/** Pure: a conversation as it is before anything has happened. */
export function recordFor(
  request: ConversationRequest,
  { conversationId, owner, tokenId, now }: BeginOptions,
): ConversationRecord {
  const { mode, moderator = false } = request;
  const asked = request.participants ?? Array.from({ length: request.agents ?? DEFAULT_AGENTS }, () => ({}));
  const short = conversationId.slice(-12);
  const speakers = asked.map((each, at) =>
    speakerFor(each, request, {
      name: `agent-${at + 1}`,
      agentId: `${mode}-${short}-${at + 1}`,
      part: partOf(MODES[mode], at),
    }),
  );
  if (moderator !== false)
    speakers.push(
      speakerFor(moderator === true ? {} : moderator, request, {
        name: MODERATOR,
        agentId: `${mode}-${short}-${MODERATOR}`,
        part: MODERATOR,
      }),
    );
  const { max_turns, max_duration_s, turn_timeout_s } = { ...CONVERSATION_DEFAULTS, ...request };
  return {
    v: FORMAT_VERSION,
    conversation_id: conversationId,
    owner,
    token_id: tokenId,
    topic: request.topic,
    mode,
    status: 'running',
    speakers,
    moderated: moderator !== false,
    keep: request.keep ?? false,
    max_turns,
    max_duration_s,
    turn_timeout_s,
    ...(request.budget_usd === undefined ? {} : { budget_usd: request.budget_usd }),
    created_at: new Date(now).toISOString(),
    ends_by: new Date(now + max_duration_s * 1_000).toISOString(),
    turns: 0,
    round: 0,
    silent: 0,
    cost_usd: 0,
    at: -1,
    abandoned: [],
    lines: [],
    events: 0,
    pending: [],
  };
}

function speakerFor(
  asked: ParticipantRequest,
  { profile: profileOfAll, options: optionsOfAll, budget_usd: budget }: ConversationRequest,
  its: { readonly name: string; readonly agentId: string; readonly part: string },
): SpeakerRecord {
  const { agent_id, name = agent_id ?? its.name, role, hands } = asked;
  const common = { name, agent_id: agent_id ?? its.agentId, part: its.part, turns: 0, heard: 0, failures: 0 };
  if (agent_id !== undefined) return common;
  const profile = asked.profile ?? profileOfAll;
  // No turn may cost more than all of them together.
  const options = {
    ...(budget === undefined ? {} : { max_budget_usd: Math.min(budget, MOST_RUN_USD) }),
    ...optionsOfAll,
    ...asked.options,
  };
  return {
    ...common,
    made: {
      ...(profile === undefined ? {} : { profile }),
      // A profile says what role its agents have.
      ...(role === undefined && profile !== undefined ? {} : { role: role ?? its.part }),
      options,
      ...(hands === undefined ? {} : { hands }),
    },
  };
}

/** What of a request makes its conversation too large to be kept. Pure. @param begun what it would begin as. */
export function sizeFaults(request: ConversationRequest, begun: ConversationRecord): Fault[] {
  const bytes = bytesOf(begun);
  if (bytes <= MOST_RECORD_BYTES) return [];
  const { topic, options, participants, moderator } = request;
  const made = begun.speakers.filter((speaker) => speaker.made !== undefined).length;
  const shares: [string, number][] = [
    // It is told too.
    ['topic', 2 * bytesOf(topic)],
    ['options', made * bytesOf(options)],
    ['participants', bytesOf(participants)],
    ['moderator', bytesOf(moderator)],
  ];
  const [[field] = ['']] = shares.toSorted(([, a], [, b]) => b - a);
  const message = `makes the conversation too large: it would take ${bytes} bytes, and may take ${MOST_RECORD_BYTES}`;
  return [{ field, message }];
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value) ?? '');

/** Whether a person may still say something. */
export const hasRoom = ({ lines }: Pick<ConversationRecord, 'lines'>): boolean => lines.length < MOST_LINES;
