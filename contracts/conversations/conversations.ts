import { Type, type Static } from 'typebox';
import { AGENT_PATTERN, AgentOptions, AGENT_TOOL_GROUPS } from '../agents/agents.js';
import { BlobRef } from '../wire/blob.js';
import { CONVERSATION_MODES, CONVERSATION_STATUSES, MAX_PARTICIPANTS, MAX_TURNS } from '../wire/choices.js';
import { PROMPT_NAME_PATTERN } from '../prompts/compositions.js';
import { OWNER_PATTERN, UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { createdFilter, ownerFilter, pageOf, pageQuery, statusFilter } from '../wire/page.js';
import { expectedRevision, revision } from '../wire/revision.js';
import { recordKind } from '../wire/record-kind.js';

/**
 * The reason for a conversation's end. `signal`: participants ended it ([END], [TERMINATE]). `moderator`: the moderator did. `decision`: a person did.
 * `turns`, `time`, `budget`: a limit was reached. `silence`: every participant passed its turn. `failed`: too few participants can still speak.
 */
export const END_REASONS = ['signal', 'moderator', 'decision', 'turns', 'time', 'budget', 'silence', 'failed'] as const;
export type EndReason = (typeof END_REASONS)[number];

/** The limit on a transcript: turns and people's lines together. */
export const MAX_LINES = 1_000;

/** The limit on a new record. The broker's limit on a message is twice that, because the record grows. */
export const MAX_RECORD_BYTES = 524_288;

/** The type of the message that begins an agent's turn. */
export const TURN_MESSAGE = 'CONVERSATION_TURN';
/** The type of the answer. It has no addressee: `reply_to` and `conversation_id` identify the turn. */
export const ANSWER_MESSAGE = 'CONVERSATION_ANSWER';

/** Whether a message begins a turn of its addressee. Only KSI sends such messages, on behalf of the owner. */
export const isTurnMessage = ({
  type,
  from,
  conversation_id: conversation,
}: {
  readonly type: string;
  readonly from?: string | undefined;
  readonly conversation_id?: string | undefined;
}): boolean => type === TURN_MESSAGE && from === undefined && conversation !== undefined;

export const PARTICIPANT_NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$';

/** An existing agent (`agent_id`), or one that KSI registers for the conversation. */
export const ParticipantRequest = Type.Object(
  {
    agent_id: Type.Optional(
      Type.String({
        pattern: AGENT_PATTERN,
        description: 'An agent of yours, managed or external. It excludes all other fields except `name`.',
      }),
    ),
    name: Type.Optional(
      Type.String({
        pattern: PARTICIPANT_NAME_PATTERN,
        description: 'The name that the others use. Default: its `agent_id`, or `agent-1`, `agent-2` …',
      }),
    ),
    profile: Type.Optional(Type.String({ pattern: PROMPT_NAME_PATTERN })),
    role: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    options: Type.Optional(AgentOptions),
    agent_tools: Type.Optional(Type.Array(Type.Enum([...AGENT_TOOL_GROUPS]))),
  },
  { additionalProperties: false },
);
export type ParticipantRequest = Static<typeof ParticipantRequest>;

export const CONVERSATION_DEFAULTS = { max_turns: 20, max_duration_s: 3_600, turn_timeout_s: 900 } as const;

const turns = (more: object = {}) =>
  Type.Integer({
    minimum: 1,
    maximum: MAX_TURNS,
    description: 'The limit on the turns of all participants together.',
    ...more,
  });
const duration = (more: object = {}) =>
  Type.Integer({ minimum: 1, maximum: 604_800, description: 'Pauses do not count.', ...more });
const turnTimeout = (more: object = {}) =>
  Type.Integer({
    minimum: 1,
    maximum: 86_400,
    description: 'A participant that does not answer in this time loses the turn.',
    ...more,
  });
const budget = Type.Number({
  exclusiveMinimum: 0,
  maximum: 1e9,
  description: 'The limit on the cost of all turns together. The last turn may exceed it.',
});
const limits = {
  max_turns: turns(),
  max_duration_s: duration(),
  turn_timeout_s: turnTimeout(),
  budget_usd: Type.Optional(budget),
};

/** POST /conversations. */
export const ConversationRequest = Type.Object(
  {
    conversation_id: Type.Optional(
      Type.String({
        pattern: UUID_PATTERN,
        description:
          'An id that you choose. A repeated request with the same id answers with the same conversation. Default: a new id.',
      }),
    ),
    topic: Type.String({ minLength: 1, maxLength: 100_000, description: 'The topic or the task.' }),
    mode: Type.Enum([...CONVERSATION_MODES], {
      description:
        '`debate`: for, against and further views. `collaboration`: all work on one result. `teaching`: the first participant teaches, the others learn. `brainstorm`: the first two create, the others criticise. `analysis`: the first participant analyses, the others research.',
    }),
    agents: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: MAX_PARTICIPANTS,
        description: 'How many agents KSI registers for the conversation. Default: 2. It excludes `participants`.',
      }),
    ),
    participants: Type.Optional(
      Type.Array(ParticipantRequest, {
        minItems: 2,
        maxItems: MAX_PARTICIPANTS,
        description: 'The participants, in the order of their parts.',
      }),
    ),
    moderator: Type.Optional(
      Type.Union([Type.Boolean(), ParticipantRequest], {
        description:
          'An agent that has a turn after each round. It may end the conversation ([END]) or choose the next speaker ([NEXT: name]). `true`: KSI registers one.',
      }),
    ),
    profile: Type.Optional(
      Type.String({
        pattern: PROMPT_NAME_PATTERN,
        description: 'The profile of registered agents without a profile of their own.',
      }),
    ),
    options: Type.Optional(
      Type.Object(AgentOptions.properties, {
        additionalProperties: false,
        description: "The options of registered agents. An agent's own options take precedence.",
      }),
    ),
    max_turns: Type.Optional(turns({ default: CONVERSATION_DEFAULTS.max_turns })),
    max_duration_s: Type.Optional(duration({ default: CONVERSATION_DEFAULTS.max_duration_s })),
    turn_timeout_s: Type.Optional(turnTimeout({ default: CONVERSATION_DEFAULTS.turn_timeout_s })),
    budget_usd: Type.Optional(budget),
    keep: Type.Optional(
      Type.Boolean({ default: false, description: 'Keep the registered agents when the conversation ends.' }),
    ),
  },
  { additionalProperties: false },
);
export type ConversationRequest = Static<typeof ConversationRequest>;

const speakerFields = {
  name: Type.String({ description: 'The name that the others use.' }),
  agent_id: Type.String(),
  part: Type.String({ description: '`for`, `teacher`, `critic`, `moderator` …' }),
  turns: Type.Integer({ minimum: 0 }),
  ended: Type.Optional(
    Type.Enum(['signal', 'failed'], {
      description:
        'Why the participant has no more turns: it sent [END] or [TERMINATE], or too many of its turns failed.',
    }),
  ),
};
const Participant = Type.Object({
  ...speakerFields,
  session_id: Type.Optional(
    Type.String({ description: 'The session of an agent that KSI registered for the conversation.' }),
  ),
});
export type Participant = Static<typeof Participant>;

/** A participant as it is stored in the conversation's record. */
export const ParticipantRecord = Type.Object({
  ...speakerFields,
  /** For an agent that KSI registers for the conversation. */
  registration: Type.Optional(
    Type.Object({
      profile: Type.Optional(Type.String()),
      role: Type.Optional(Type.String()),
      options: Type.Optional(AgentOptions),
      agent_tools: Type.Optional(Type.Array(Type.Enum([...AGENT_TOOL_GROUPS]))),
      session_id: Type.Optional(Type.String()),
      state: Type.Optional(Type.Enum(['registered', 'removed'])),
    }),
  ),
  /** How many lines of the transcript the agent has received. */
  lines_read: Type.Integer({ minimum: 0 }),
  /** Failed turns in succession. */
  failures: Type.Integer({ minimum: 0 }),
});
export type ParticipantRecord = Static<typeof ParticipantRecord>;

/** The current turn. */
export const Turn = Type.Object({
  turn: Type.Integer({ minimum: 1 }),
  /** The participant's index. */
  participant: Type.Integer({ minimum: 0 }),
  /** The message that begins the turn. The id derives from the turn, so that the message is stored once. */
  message_id: Type.String(),
  /** The lines that the message contains: from, to (exclusive). */
  from_line: Type.Integer({ minimum: 0 }),
  to_line: Type.Integer({ minimum: 0 }),
  at: Type.String({ format: 'date-time' }),
  until: Type.String({ format: 'date-time' }),
  /** Whether the message is stored. */
  sent: Type.Boolean(),
});
export type Turn = Static<typeof Turn>;

/** A turn that the conversation no longer waits for. KSI cancels its task, and counts its cost when the task ends. */
export const AbandonedTurn = Type.Object({
  message_id: Type.String(),
  agent_id: Type.String(),
  cancelled: Type.Optional(Type.Boolean()),
});
export type AbandonedTurn = Static<typeof AbandonedTurn>;

/** An event in the outbox. It may already be stored. */
export const PendingEvent = Type.Object({
  id: Type.String(),
  type: Type.String(),
  at: Type.String({ format: 'date-time' }),
  data: Type.Record(Type.String(), Type.Unknown()),
  /** The line whose text the event contains. */
  line: Type.Optional(Type.String()),
});
export type PendingEvent = Static<typeof PendingEvent>;

/** The last sequences of KSI_EVENTS and KSI_MESSAGES before a conversation. All its events and messages come later. */
export const BeginsAfter = Type.Object({
  events: Type.Integer({ minimum: 0 }),
  messages: Type.Integer({ minimum: 0 }),
});
export type BeginsAfter = Static<typeof BeginsAfter>;

/** A conversation's state: its entry in `ksi_conversations`, changed only by compare-and-set. */
export const ConversationRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  conversation_id: Type.String({ pattern: UUID_PATTERN }),
  owner: Type.String({ pattern: OWNER_PATTERN }),
  token_id: Type.String({ description: 'The token that created the conversation. The turns are tasks of this token.' }),
  topic: Type.String(),
  mode: Type.Enum([...CONVERSATION_MODES]),
  status: Type.Enum([...CONVERSATION_STATUSES]),
  /** The participants in the order of their parts, and then the moderator, if there is one. */
  participants: Type.Array(ParticipantRecord),
  moderated: Type.Boolean(),
  keep: Type.Boolean(),
  ...limits,
  created_at: Type.String({ format: 'date-time' }),
  /** Absent in records of older builds. */
  begins_after: Type.Optional(BeginsAfter),
  ends_by: Type.String({ format: 'date-time', description: 'The deadline. A pause moves it.' }),
  paused_at: Type.Optional(Type.String({ format: 'date-time' })),
  ended_at: Type.Optional(Type.String({ format: 'date-time' })),
  reason: Type.Optional(Type.Enum([...END_REASONS])),
  error: Type.Optional(Type.String({ description: 'The error that ended the conversation, if `reason` is `failed`.' })),
  turns: Type.Integer({ minimum: 0, description: 'The number of turns that have begun.' }),
  /** Participants' turns since the moderator's last turn. */
  round: Type.Integer({ minimum: 0 }),
  /** Passed turns in succession. */
  silent: Type.Integer({ minimum: 0 }),
  cost_usd: Type.Number({ minimum: 0 }),
  /** The position of the last turn in the mode's speaking order; -1 before the first turn. */
  order_position: Type.Integer({ minimum: -1 }),
  /** The participant who had the last turn. */
  last: Type.Optional(Type.Integer({ minimum: 0 })),
  /** The participant who has the next turn regardless of the speaking order. */
  next_speaker: Type.Optional(Type.Integer({ minimum: 0 })),
  current_turn: Type.Optional(Turn),
  abandoned: Type.Array(AbandonedTurn),
  /** The ids of the lines, in order. Each line is an entry of its own. */
  lines: Type.Array(Type.String()),
  /** The number of events so far. The id of the next event derives from it. */
  events: Type.Integer({ minimum: 0 }),
  pending: Type.Array(PendingEvent),
});
export type ConversationRecord = Static<typeof ConversationRecord>;

export const CONVERSATION_RECORDS = recordKind(BUCKET.conversations, ConversationRecord, SUBJECT.conversation, {
  markS: 3_600,
  watched: true,
});

/** `said`: an agent's answer. `passed`: an agent passed its turn. `failed`: a turn failed. `person`: a person's line. */
export const LINE_KINDS = ['said', 'passed', 'failed', 'person'] as const;

const lineFields = {
  id: Type.String(),
  kind: Type.Enum([...LINE_KINDS]),
  name: Type.String({ description: 'The participant or person who speaks.' }),
  agent_id: Type.Optional(Type.String()),
  part: Type.Optional(Type.String()),
  turn: Type.Optional(Type.Integer({ minimum: 1 })),
  at: Type.String({ format: 'date-time' }),
  task_id: Type.Optional(Type.String()),
  cost_usd: Type.Optional(Type.Number()),
  error: Type.Optional(Type.String({ description: 'The error of a failed turn.' })),
};
/** A line of the transcript, as an entry in `ksi_conversation_lines`. */
export const LineRecord = Type.Object({
  ...lineFields,
  text: Type.Optional(Type.String()),
  ref: Type.Optional(BlobRef),
});
export type LineRecord = Static<typeof LineRecord>;

export const Line = Type.Object({ ...lineFields, text: Type.String() });
export type Line = Static<typeof Line>;

/** GET /conversations/:id. */
export const Conversation = Type.Object({
  conversation_id: Type.String(),
  owner: Type.String(),
  topic: Type.String(),
  mode: Type.Enum([...CONVERSATION_MODES]),
  status: Type.Enum([...CONVERSATION_STATUSES]),
  reason: Type.Optional(Type.Enum([...END_REASONS])),
  error: Type.Optional(Type.String()),
  participants: Type.Array(Participant),
  moderator: Type.Optional(Participant),
  speaking: Type.Optional(
    Type.Object(
      {
        name: Type.String(),
        agent_id: Type.String(),
        turn: Type.Integer(),
        since: Type.String({ format: 'date-time' }),
      },
      { description: 'The participant whose turn it is.' },
    ),
  ),
  next: Type.Optional(Type.String({ description: 'The name of the participant who is expected to speak next.' })),
  turns: Type.Integer(),
  lines: Type.Integer({ description: 'The number of lines in the transcript.' }),
  cost_usd: Type.Number(),
  ...limits,
  keep: Type.Boolean(),
  revision,
  created_at: Type.String({ format: 'date-time' }),
  ends_by: Type.String({ format: 'date-time' }),
  ended_at: Type.Optional(Type.String({ format: 'date-time' })),
});
export type Conversation = Static<typeof Conversation>;

/** A new conversation, with a cursor that precedes its first event. */
export const ConversationAccepted = Type.Object({ ...Conversation.properties, since: Type.String() });
export type ConversationAccepted = Static<typeof ConversationAccepted>;

export const ConversationParams = Type.Object(
  { id: Type.String({ pattern: UUID_PATTERN, description: "The conversation's id." }) },
  { additionalProperties: false },
);
export type ConversationParams = Static<typeof ConversationParams>;

export const ConversationSteering = Type.Object(expectedRevision, { additionalProperties: false });
export type ConversationSteering = Static<typeof ConversationSteering>;

export const ConversationsQuery = pageQuery({
  ...statusFilter(CONVERSATION_STATUSES),
  ...ownerFilter,
  ...createdFilter,
});
export type ConversationsQuery = Static<typeof ConversationsQuery>;

/** Newest first. */
export const ConversationPage = pageOf(Conversation, {});
export type ConversationPage = Static<typeof ConversationPage>;

export const ConversationTranscriptQuery = Type.Object(
  {
    format: Type.Optional(Type.Enum(['json', 'markdown'], { default: 'json', description: 'JSON or Markdown.' })),
  },
  { additionalProperties: false },
);
export type ConversationTranscriptQuery = Static<typeof ConversationTranscriptQuery>;

export const ConversationTranscript = Type.Object({
  conversation_id: Type.String(),
  topic: Type.String(),
  mode: Type.Enum([...CONVERSATION_MODES]),
  lines: Type.Array(Line),
});
export type ConversationTranscript = Static<typeof ConversationTranscript>;

/** POST /conversations/:id/say. */
export const SayRequest = Type.Object(
  {
    text: Type.String({ minLength: 1, maxLength: 1_000_000 }),
    name: Type.Optional(
      Type.String({
        pattern: PARTICIPANT_NAME_PATTERN,
        description: 'The name that the agents see. Default: `person`.',
      }),
    ),
    next: Type.Optional(Type.String({ description: 'The name of the participant who speaks next.' })),
    message_id: Type.Optional(
      Type.String({
        pattern: UUID_PATTERN,
        description: 'An id that you choose. A repeated request with the same id adds one line. Default: a new id.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type SayRequest = Static<typeof SayRequest>;
