import { Type, type Static } from 'typebox';
import { AGENT_PATTERN, AgentOptions, HANDS } from '../agents/agents.js';
import { BlobRef } from '../wire/blob.js';
import { CONVERSATION_MODES, CONVERSATION_STATUSES, MOST_PARTICIPANTS, MOST_TURNS } from '../wire/choices.js';
import { PROMPT_NAME_PATTERN } from '../prompts/compositions.js';
import { UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { OWNER_PATTERN } from '../access/tokens.js';
import { recordKind } from '../wire/record-kind.js';

/**
 * Why a conversation ended. `signal`: its speakers said so ([END], [TERMINATE]); `moderator`: the moderator did; `decision`: somebody asked for it;
 * `turns`, `time`, `budget`: a limit; `silence`: nobody had anything to say; `failed`: too few can speak any more.
 */
export const END_REASONS = ['signal', 'moderator', 'decision', 'turns', 'time', 'budget', 'silence', 'failed'] as const;
export type EndReason = (typeof END_REASONS)[number];

/** Of everybody together: turns, and what people say. */
export const MOST_LINES = 1_000;

/** What the record of a conversation may take when it begins: a message of the broker has twice that, as it grows by what happens. */
export const MOST_RECORD_BYTES = 524_288;

/** Type of the message that gives an agent the word. */
export const TURN_MESSAGE = 'CONVERSATION_TURN';
/** Of its answer, which has no addressee; `reply_to` and `conversation_id` say what it answers. */
export const ANSWER_MESSAGE = 'CONVERSATION_ANSWER';

/** Whether a message gives its addressee the word: only KSI itself sends such, in its owner's name. */
export const givesWord = ({
  type,
  from,
  conversation_id: conversation,
}: {
  readonly type: string;
  readonly from?: string | undefined;
  readonly conversation_id?: string | undefined;
}): boolean => type === TURN_MESSAGE && from === undefined && conversation !== undefined;

export const SPEAKER_NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$';

/** One that is there already (`agent_id`), or one that is made for the conversation. */
export const ParticipantRequest = Type.Object(
  {
    agent_id: Type.Optional(
      Type.String({
        pattern: AGENT_PATTERN,
        description: 'An agent of yours, managed or external. Then nothing else but `name` can be given.',
      }),
    ),
    name: Type.Optional(
      Type.String({
        pattern: SPEAKER_NAME_PATTERN,
        description: 'What the others call it. Default: its `agent_id`, or `agent-1`, `agent-2` …',
      }),
    ),
    profile: Type.Optional(Type.String({ pattern: PROMPT_NAME_PATTERN })),
    role: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    options: Type.Optional(AgentOptions),
    hands: Type.Optional(Type.Array(Type.Enum([...HANDS]))),
  },
  { additionalProperties: false },
);
export type ParticipantRequest = Static<typeof ParticipantRequest>;

export const CONVERSATION_DEFAULTS = { max_turns: 20, max_duration_s: 3_600, turn_timeout_s: 900 } as const;

const turns = (more: object = {}) =>
  Type.Integer({ minimum: 1, maximum: MOST_TURNS, description: 'Turns of all speakers together.', ...more });
const duration = (more: object = {}) =>
  Type.Integer({ minimum: 1, maximum: 604_800, description: 'Not counting the time that it is paused.', ...more });
const turnTimeout = (more: object = {}) =>
  Type.Integer({
    minimum: 1,
    maximum: 86_400,
    description: 'A speaker that has not answered by then has lost this turn.',
    ...more,
  });
const budget = Type.Number({
  exclusiveMinimum: 0,
  maximum: 1e9,
  description: 'What its turns may cost together; the last one may overshoot it.',
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
        description: 'Of yours: asked for again, it is the same conversation. Default: a new one.',
      }),
    ),
    topic: Type.String({ minLength: 1, maxLength: 100_000, description: 'What they talk about, or are to do.' }),
    mode: Type.Enum([...CONVERSATION_MODES], {
      description:
        '`debate`: for, against and further views, each with a last word. `collaboration`: one thing, by turns. `teaching`: the first teaches, the others learn. `brainstorm`: the first two create, the others criticise. `analysis`: an analyst, and researchers in turn.',
    }),
    agents: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: MOST_PARTICIPANTS,
        description: 'So many agents are made for it. Default: 2. Instead: `participants`.',
      }),
    ),
    participants: Type.Optional(
      Type.Array(ParticipantRequest, {
        minItems: 2,
        maxItems: MOST_PARTICIPANTS,
        description: 'In the order of their parts.',
      }),
    ),
    moderator: Type.Optional(
      Type.Union([Type.Boolean(), ParticipantRequest], {
        description:
          'Has the word after each round: it may end the conversation ([END]) or say who is next ([NEXT: name]). `true`: one is made.',
      }),
    ),
    profile: Type.Optional(
      Type.String({ pattern: PROMPT_NAME_PATTERN, description: 'Of those that are made and name none.' }),
    ),
    options: Type.Optional(
      Type.Object(AgentOptions.properties, {
        additionalProperties: false,
        description: 'How those run that are made; their own go first.',
      }),
    ),
    max_turns: Type.Optional(turns({ default: CONVERSATION_DEFAULTS.max_turns })),
    max_duration_s: Type.Optional(duration({ default: CONVERSATION_DEFAULTS.max_duration_s })),
    turn_timeout_s: Type.Optional(turnTimeout({ default: CONVERSATION_DEFAULTS.turn_timeout_s })),
    budget_usd: Type.Optional(budget),
    keep: Type.Optional(
      Type.Boolean({ default: false, description: 'Keep the agents that were made for it when it has ended.' }),
    ),
  },
  { additionalProperties: false },
);
export type ConversationRequest = Static<typeof ConversationRequest>;

/** Somebody who has turns. */
const speakerFields = {
  name: Type.String({ description: 'What the others call it.' }),
  agent_id: Type.String(),
  part: Type.String({ description: '`for`, `teacher`, `critic`, `moderator` …' }),
  turns: Type.Integer({ minimum: 0 }),
  ended: Type.Optional(
    Type.Enum(['signal', 'failed'], { description: 'It speaks no more: it said so, or it failed too often.' }),
  ),
};
const Speaker = Type.Object({
  ...speakerFields,
  session_id: Type.Optional(Type.String({ description: 'Of one that was made for the conversation: its session.' })),
});
export type Speaker = Static<typeof Speaker>;

/** As the record keeps it. */
export const SpeakerRecord = Type.Object({
  ...speakerFields,
  /** What it is registered with, of one that is made for the conversation. */
  made: Type.Optional(
    Type.Object({
      profile: Type.Optional(Type.String()),
      role: Type.Optional(Type.String()),
      options: Type.Optional(AgentOptions),
      hands: Type.Optional(Type.Array(Type.Enum([...HANDS]))),
      session_id: Type.Optional(Type.String()),
      removed: Type.Optional(Type.Boolean()),
    }),
  ),
  /** How many lines it has been told. */
  heard: Type.Integer({ minimum: 0 }),
  /** Turns in succession that brought nothing. */
  failures: Type.Integer({ minimum: 0 }),
});
export type SpeakerRecord = Static<typeof SpeakerRecord>;

/** Who has the word. */
export const Floor = Type.Object({
  turn: Type.Integer({ minimum: 1 }),
  /** Its place among the speakers. */
  speaker: Type.Integer({ minimum: 0 }),
  /** Of the message that gave it the word: derived, so that it is given once. */
  message_id: Type.String(),
  /** The lines that the message tells: from, to (exclusive). */
  from_line: Type.Integer({ minimum: 0 }),
  to_line: Type.Integer({ minimum: 0 }),
  at: Type.String({ format: 'date-time' }),
  until: Type.String({ format: 'date-time' }),
  /** The message is stored. */
  sent: Type.Boolean(),
});
export type Floor = Static<typeof Floor>;

/** A turn that nobody waits for any more: its task is to be cancelled, and then its outcome to be heard of, as it has cost something. */
export const Abandoned = Type.Object({
  message_id: Type.String(),
  agent_id: Type.String(),
  cancelled: Type.Optional(Type.Boolean()),
});
export type Abandoned = Static<typeof Abandoned>;

/** An event that is decided and perhaps not yet told. */
export const PendingEvent = Type.Object({
  id: Type.String(),
  type: Type.String(),
  at: Type.String({ format: 'date-time' }),
  data: Type.Record(Type.String(), Type.Unknown()),
  /** The line whose text goes with it. */
  line: Type.Optional(Type.String()),
});
export type PendingEvent = Static<typeof PendingEvent>;

/** The last sequences of KSI_EVENTS and KSI_MESSAGES before a conversation: all that is said in it comes later. */
export const BeginsAfter = Type.Object({
  events: Type.Integer({ minimum: 0 }),
  messages: Type.Integer({ minimum: 0 }),
});
export type BeginsAfter = Static<typeof BeginsAfter>;

/** A conversation's state: its entry of `ksi_conversations`, changed by compare-and-set alone. */
export const ConversationRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  conversation_id: Type.String({ pattern: UUID_PATTERN }),
  owner: Type.String({ pattern: OWNER_PATTERN }),
  token_id: Type.String({ description: 'The token that asked for it: its turns count as its tasks.' }),
  topic: Type.String(),
  mode: Type.Enum([...CONVERSATION_MODES]),
  status: Type.Enum([...CONVERSATION_STATUSES]),
  /** The participants in the order of their parts, and then the moderator, if there is one. */
  speakers: Type.Array(SpeakerRecord),
  moderated: Type.Boolean(),
  keep: Type.Boolean(),
  ...limits,
  created_at: Type.String({ format: 'date-time' }),
  /** Absent: of an older build. */
  begins_after: Type.Optional(BeginsAfter),
  ends_by: Type.String({ format: 'date-time', description: 'Later, by the time that it was paused.' }),
  paused_at: Type.Optional(Type.String({ format: 'date-time' })),
  ended_at: Type.Optional(Type.String({ format: 'date-time' })),
  reason: Type.Optional(Type.Enum([...END_REASONS])),
  why: Type.Optional(Type.String({ description: 'Of `failed`: what went wrong.' })),
  turns: Type.Integer({ minimum: 0, description: 'Turns that were given.' }),
  /** Of participants, since the moderator spoke. */
  round: Type.Integer({ minimum: 0 }),
  /** In succession that brought no text. */
  silent: Type.Integer({ minimum: 0 }),
  cost_usd: Type.Number({ minimum: 0 }),
  /** Place of the last turn in the mode's order; -1: none yet. */
  at: Type.Integer({ minimum: -1 }),
  /** The participant that had the word last. */
  last: Type.Optional(Type.Integer({ minimum: 0 })),
  /** Who is to have the word out of turn. */
  named: Type.Optional(Type.Integer({ minimum: 0 })),
  floor: Type.Optional(Floor),
  abandoned: Type.Array(Abandoned),
  /** The ids of what was said, in order; the lines themselves are entries of their own. */
  lines: Type.Array(Type.String()),
  /** Events so far: what makes the next one's id. */
  events: Type.Integer({ minimum: 0 }),
  pending: Type.Array(PendingEvent),
});
export type ConversationRecord = Static<typeof ConversationRecord>;

export const CONVERSATION_RECORDS = recordKind(BUCKET.conversations, ConversationRecord, SUBJECT.conversation, {
  markS: 3_600,
  watched: true,
});

/** `said`: an agent's turn. `passed`: it had nothing to say. `failed`: its turn brought nothing. `person`: a human's word. */
export const LINE_KINDS = ['said', 'passed', 'failed', 'person'] as const;

const lineFields = {
  id: Type.String(),
  kind: Type.Enum([...LINE_KINDS]),
  name: Type.String({ description: 'Who speaks: a participant, or a person.' }),
  agent_id: Type.Optional(Type.String()),
  part: Type.Optional(Type.String()),
  turn: Type.Optional(Type.Integer({ minimum: 1 })),
  at: Type.String({ format: 'date-time' }),
  task_id: Type.Optional(Type.String()),
  cost_usd: Type.Optional(Type.Number()),
  error: Type.Optional(Type.String({ description: 'Why a turn failed.' })),
};
/** What somebody said: an entry of `ksi_conversations`. */
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
  why: Type.Optional(Type.String()),
  participants: Type.Array(Speaker),
  moderator: Type.Optional(Speaker),
  speaking: Type.Optional(
    Type.Object(
      {
        name: Type.String(),
        agent_id: Type.String(),
        turn: Type.Integer(),
        since: Type.String({ format: 'date-time' }),
      },
      { description: 'Who has the word now.' },
    ),
  ),
  next: Type.Optional(Type.String({ description: 'Who is next, as it stands now.' })),
  turns: Type.Integer(),
  lines: Type.Integer({ description: 'Of the transcript so far.' }),
  cost_usd: Type.Number(),
  ...limits,
  keep: Type.Boolean(),
  created_at: Type.String({ format: 'date-time' }),
  ends_by: Type.String({ format: 'date-time' }),
  ended_at: Type.Optional(Type.String({ format: 'date-time' })),
});
export type Conversation = Static<typeof Conversation>;

/** A new one, with a cursor from before its first event. */
export const ConversationAccepted = Type.Object({ ...Conversation.properties, since: Type.String() });
export type ConversationAccepted = Static<typeof ConversationAccepted>;

export const ConversationParams = Type.Object(
  { id: Type.String({ pattern: UUID_PATTERN, description: "The conversation's id." }) },
  { additionalProperties: false },
);
export type ConversationParams = Static<typeof ConversationParams>;

export const ConversationsQuery = Type.Object(
  {
    status: Type.Optional(Type.Enum([...CONVERSATION_STATUSES])),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
    cursor: Type.Optional(Type.String({ description: 'Opaque: `next_cursor` of the page before.' })),
  },
  { additionalProperties: false },
);
export type ConversationsQuery = Static<typeof ConversationsQuery>;

/** The newest first. */
export const ConversationPage = Type.Object({
  conversations: Type.Array(Conversation),
  next_cursor: Type.Optional(Type.String()),
});
export type ConversationPage = Static<typeof ConversationPage>;

export const ConversationTranscriptQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Enum(['json', 'markdown'], { default: 'json', description: 'JSON, or a text to read.' }),
    ),
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
      Type.String({ pattern: SPEAKER_NAME_PATTERN, description: 'What the agents call you. Default: `person`.' }),
    ),
    next: Type.Optional(Type.String({ description: 'The name of the participant who is to answer.' })),
    message_id: Type.Optional(
      Type.String({ pattern: UUID_PATTERN, description: 'Of yours: said again, it stands once. Default: a new one.' }),
    ),
  },
  { additionalProperties: false },
);
export type SayRequest = Static<typeof SayRequest>;
