import {
  CONVERSATION_DEFAULTS,
  MAX_LINES,
  MAX_RECORD_BYTES,
  type ConversationRecord,
  type ConversationRequest,
  type ParticipantRequest,
  type ParticipantRecord,
} from '../../contracts/conversations/conversations.js';
import { MAX_RUN_USD } from '../../contracts/tasks/claude-options.js';
import type { Fault } from '../../contracts/wire/check.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import { MODERATOR, MODES, partOf } from './modes.js';
import { defined } from '../defined.js';

export interface NewRecordOptions {
  readonly conversationId: string;
  readonly owner: string;
  readonly tokenId: string;
  /** In ms since 1970. */
  readonly now: number;
}

const DEFAULT_AGENTS = 2;

/** Pure. The faults of a request that its schema cannot express. */
export function faultsOf(request: ConversationRequest): Fault[] {
  const { mode, agents, participants, moderator } = request;
  const faults: Fault[] = [];
  if (agents !== undefined && participants !== undefined)
    faults.push({ field: 'agents', message: 'cannot be given together with `participants`' });
  const count = participants?.length ?? agents ?? DEFAULT_AGENTS;
  const { minParticipants, maxParticipants } = MODES[mode];
  if (count < minParticipants || count > maxParticipants)
    faults.push({
      field: participants === undefined ? 'agents' : 'participants',
      message: `must be ${minParticipants} to ${maxParticipants} for the mode ${mode}`,
    });
  const all: [string, ParticipantRequest][] = (participants ?? []).map((each, at) => [`participants.${at}`, each]);
  if (typeof moderator === 'object') all.push(['moderator', moderator]);
  for (const [field, { agent_id, name: _name, ...others }] of all)
    for (const other of agent_id === undefined ? [] : Object.keys(others))
      faults.push({ field: `${field}.${other}`, message: 'cannot be given together with `agent_id`' });
  return [...faults, ...duplicateFaults(all, 'agent_id'), ...duplicateFaults(all, 'name')];
}

function duplicateFaults(all: readonly [string, ParticipantRequest][], field: 'agent_id' | 'name'): Fault[] {
  const seen = new Set<string>();
  return all.flatMap(([path, { [field]: value }]) => {
    if (value === undefined) return [];
    if (seen.has(value)) return [{ field: `${path}.${field}`, message: 'is used twice' }];
    seen.add(value);
    return [];
  });
}

/** Pure. The record of a conversation before its `begin` trigger. */
export function newRecord(
  request: ConversationRequest,
  { conversationId, owner, tokenId, now }: NewRecordOptions,
): ConversationRecord {
  const { mode, moderator = false } = request;
  const requested = request.participants ?? Array.from({ length: request.agents ?? DEFAULT_AGENTS }, () => ({}));
  const short = conversationId.slice(-12);
  const participants = requested.map((each, at) =>
    participantRecord(each, request, {
      name: `agent-${at + 1}`,
      agentId: `${mode}-${short}-${at + 1}`,
      part: partOf(MODES[mode], at),
    }),
  );
  if (moderator !== false)
    participants.push(
      participantRecord(moderator === true ? {} : moderator, request, {
        name: MODERATOR,
        agentId: `${mode}-${short}-${MODERATOR}`,
        part: MODERATOR,
      }),
    );
  const { max_turns, max_duration_s, turn_timeout_s } = { ...CONVERSATION_DEFAULTS, ...request };
  return defined({
    v: FORMAT_VERSION,
    conversation_id: conversationId,
    owner,
    token_id: tokenId,
    topic: request.topic,
    mode,
    status: 'running',
    participants,
    moderated: moderator !== false,
    keep: request.keep ?? false,
    max_turns,
    max_duration_s,
    turn_timeout_s,
    budget_usd: request.budget_usd,
    created_at: new Date(now).toISOString(),
    ends_by: new Date(now + max_duration_s * 1_000).toISOString(),
    turns: 0,
    round: 0,
    silent: 0,
    cost_usd: 0,
    order_position: -1,
    abandoned: [],
    lines: [],
    events: 0,
    pending: [],
  });
}

function participantRecord(
  request: ParticipantRequest,
  { profile: profileOfAll, options: optionsOfAll, budget_usd: budget }: ConversationRequest,
  defaults: { readonly name: string; readonly agentId: string; readonly part: string },
): ParticipantRecord {
  const { agent_id, name = agent_id ?? defaults.name, role, agent_tools } = request;
  const common = {
    name,
    agent_id: agent_id ?? defaults.agentId,
    part: defaults.part,
    turns: 0,
    lines_read: 0,
    failures: 0,
  };
  if (agent_id !== undefined) return common;
  const profile = request.profile ?? profileOfAll;
  // One turn may cost at most the budget of all turns.
  const options = {
    ...(budget === undefined ? {} : { max_budget_usd: Math.min(budget, MAX_RUN_USD) }),
    ...optionsOfAll,
    ...request.options,
  };
  return {
    ...common,
    registration: defined({
      profile,
      // A profile determines the role of its agents.
      ...(role === undefined && profile !== undefined ? {} : { role: role ?? defaults.part }),
      options,
      agent_tools,
    }),
  };
}

/** Pure. The field that makes a conversation too large, if it is. @param begun its record after the `begin` trigger. */
export function sizeFaults(request: ConversationRequest, begun: ConversationRecord): Fault[] {
  const bytes = bytesOf(begun);
  if (bytes <= MAX_RECORD_BYTES) return [];
  const { topic, options, participants, moderator } = request;
  const registrations = begun.participants.filter(({ registration }) => registration !== undefined).length;
  const shares: [string, number][] = [
    // The record contains the topic a second time, in the pending CONVERSATION_STARTED event.
    ['topic', 2 * bytesOf(topic)],
    ['options', registrations * bytesOf(options)],
    ['participants', bytesOf(participants)],
    ['moderator', bytesOf(moderator)],
  ];
  const [[field] = ['']] = shares.toSorted(([, a], [, b]) => b - a);
  const message = `makes the conversation's record too large: ${bytes} bytes; the limit is ${MAX_RECORD_BYTES}`;
  return [{ field, message }];
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value) ?? '');

/** Whether a person may add another line. */
export const hasRoom = ({ lines }: Pick<ConversationRecord, 'lines'>): boolean => lines.length < MAX_LINES;
