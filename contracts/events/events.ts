import { TaskErrorBody } from '../tasks/error-body.js';
import { CONTAINMENTS } from '../tasks/workers.js';
import { Type, type Static } from 'typebox';
import { APPROVAL_DECISIONS, approvalFields } from '../tasks/approvals.js';
import { AGENT_KINDS, AGENT_STATUSES } from '../agents/agents.js';
import { BlobRef } from '../wire/blob.js';
import { conversationEvents } from '../conversations/events.js';
import { CANCEL_REASONS, GIVEN_UP, RETRY_REASONS, WAITING_REASONS } from '../wire/errors.js';
import { McpServerState } from '../tasks/mcp-servers.js';
import { Metadata } from '../wire/metadata.js';
import { messageFields } from '../agents/messages.js';
import { TaskMessage } from '../tasks/message.js';
import { PRIORITIES } from '../wire/names.js';
import { Usage } from '../access/usage.js';

/**
 * What is stored in KSI_EVENTS, as it stands on NATS. Bridges (WebSocket, SSE, GET) add `seq`, `cursor` and `subject`,
 * and put back a body that was too large for a message, unless it is larger than 4 MiB (GET /tasks/:id/events/:event_id/body): the JSON
 * at `data.ref` is `data.message` of a SPAWN_MESSAGE, `data.output` of
 * an outcome, `data.input` of an APPROVAL_REQUESTED, `data.text` of a SPAWN_INPUT, and holds `content` and `payload` of an
 * AGENT_MESSAGE; of events of conversations it is `data.text`.
 */
const taskFields = {
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  agent_id: Type.Optional(Type.String()),
  owner: Type.String(),
};
const attemptFields = {
  ...taskFields,
  attempt: Type.Integer({ minimum: 1, description: 'Which run of the task this is: 1, 2, 3 …' }),
  n: Type.Integer({
    minimum: 1,
    description: 'Counts the events of one attempt without a gap: 1 (its SPAWN_START), 2, 3 …',
  }),
};

const endingFields = {
  usage: Type.Optional(Usage),
  mcp_servers: Type.Optional(
    Type.Array(McpServerState, { description: "What became of the task's MCP servers in this attempt." }),
  ),
};

/** Of events that say that all the others of their subject are gone. */
const deletedFields = {
  session_id: Type.String(),
  owner: Type.String(),
  by: Type.String({ description: 'The owner of the token that asked for it.' }),
};

/** Of changes of shared state. They may come out of order: the one with the higher revision is the later. */
const sharedFields = {
  owner: Type.String(),
  key: Type.String(),
  revision: Type.Integer(),
  by: Type.Optional(Type.String({ description: 'The agent that did it, if it was one.' })),
};

const agentFields = { agent_id: Type.String(), owner: Type.String() };
const agentShown = {
  ...agentFields,
  kind: Type.Enum([...AGENT_KINDS]),
  role: Type.String(),
  capabilities: Type.Array(Type.String()),
  subscriptions: Type.Array(Type.String()),
  status: Type.Enum([...AGENT_STATUSES]),
  session_id: Type.Optional(Type.String()),
};

export const EVENT_DATA = {
  SPAWN_QUEUED: Type.Object({
    ...taskFields,
    queue: Type.String(),
    priority: Type.Enum([...PRIORITIES]),
    model: Type.Optional(Type.String()),
    prompt_preview: Type.String({
      description: 'The first 200 characters of the prompt; the whole one is in the command.',
    }),
    token_id: Type.Optional(Type.String({ description: 'The token that asked for it.' })),
    start_by: Type.Optional(
      Type.String({ format: 'date-time', description: 'It expires if it has not started by then.' }),
    ),
    workspace: Type.Optional(Type.String()),
    metadata: Type.Optional(Metadata),
    fork_of: Type.Optional(Type.String({ description: 'The session that its session goes on from.' })),
    retry_of: Type.Optional(Type.String({ description: 'The task that this one runs again.' })),
    message: Type.Optional(TaskMessage),
    depth: Type.Optional(Type.Integer({ minimum: 1, description: 'How many tasks led to it by their agents’ hands.' })),
    spawned_by: Type.Optional(Type.String({ description: 'The task whose agent asked for it by its own hands.' })),
    exchange_id: Type.Optional(
      Type.String({ description: 'The message that led to it, by agents: see GET /exchanges/:id.' }),
    ),
  }),
  SPAWN_WAITING: Type.Object({ ...taskFields, queue: Type.String(), reason: Type.Enum([...WAITING_REASONS]) }),
  SPAWN_START: Type.Object({
    ...attemptFields,
    worker_id: Type.String(),
    process: Type.Optional(
      Type.String({ description: "The worker's name in control subjects: its process's in its cluster, else its id." }),
    ),
    host: Type.String(),
    transcript_seq: Type.Integer({
      minimum: 0,
      description:
        "The last sequence of the session's transcript, subagents' parts included, that the attempt resumes from; 0: none.",
    }),
    run: Type.Object(
      { seq: Type.Integer({ minimum: 0 }), delivery: Type.Integer({ minimum: 1 }) },
      {
        description:
          'The run message in KSI_COMMANDS and which delivery of it this attempt holds: an older one is no reason to take it over.',
      },
    ),
  }),
  SPAWN_MESSAGE: Type.Object({
    ...attemptFields,
    message: Type.Optional(
      Type.Unknown({ description: "One complete message of Claude's stream, as Claude wrote it." }),
    ),
    usage: Type.Optional(
      Type.Object(Usage.properties, {
        description:
          'A running sum: what the attempt had used when the message came. Absent: nothing was reported yet.',
      }),
    ),
    ref: Type.Optional(BlobRef),
  }),
  /** Stored before the API answers: an attempt that follows is told the same after its prompt. */
  SPAWN_INPUT: Type.Object({
    ...taskFields,
    attempt: Type.Integer({ minimum: 1, description: 'The attempt that was running.' }),
    text: Type.Optional(Type.String({ description: 'What Claude was told beside its prompt.' })),
    by: Type.Optional(Type.String({ description: 'The owner of the token that said it.' })),
    ref: Type.Optional(BlobRef),
  }),
  SPAWN_RETRY: Type.Object({
    ...taskFields,
    ...endingFields,
    attempt: Type.Integer({ minimum: 1, description: 'The attempt that was lost or failed.' }),
    reason: Type.Enum([...new Set(RETRY_REASONS)], {
      description: 'Why it ended: lost, given back, or the code of the task error that it failed with.',
    }),
    worker_id: Type.String({ description: 'The worker that says so: of the attempt, or the one that took it over.' }),
    counted: Type.Optional(Type.Boolean({ description: "Whether it counts against the policy's `max_attempts`." })),
    retry_at: Type.Optional(
      Type.String({ format: 'date-time', description: 'The next attempt starts at this time or later.' }),
    ),
    error: Type.Optional(TaskErrorBody),
  }),
  SPAWN_COMPLETE: Type.Object({
    ...attemptFields,
    ...endingFields,
    output: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: "Claude's result object." })),
    ref: Type.Optional(BlobRef),
  }),
  SPAWN_ERROR: Type.Object({
    ...attemptFields,
    ...endingFields,
    error: TaskErrorBody,
    given_up: Type.Optional(
      Type.Enum([...GIVEN_UP], { description: 'The task was given up, and has a dead letter; see there.' }),
    ),
    output: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    ref: Type.Optional(BlobRef),
  }),
  SPAWN_CANCELLED: Type.Object({
    ...taskFields,
    reason: Type.Enum([...CANCEL_REASONS]),
    usage: Type.Optional(Usage),
    by: Type.Optional(Type.String({ description: 'Who asked for it.' })),
  }),
  SPAWN_EXPIRED: Type.Object({
    ...taskFields,
    queue_timeout_s: Type.Number({ description: 'It had to start within this time of its acceptance.' }),
  }),
  APPROVAL_REQUESTED: Type.Object({
    ...taskFields,
    ...approvalFields,
    ref: Type.Optional(BlobRef),
  }),
  APPROVAL_RESOLVED: Type.Object({
    ...taskFields,
    attempt: Type.Integer({ minimum: 1 }),
    approval_id: Type.String(),
    decision: Type.Enum([...APPROVAL_DECISIONS], {
      description:
        '`expired`: nobody answered in time; `withdrawn`: its turn was ended. One that has no such event ended with its attempt.',
    }),
    by: Type.Optional(Type.String({ description: 'The owner of the token that answered.' })),
    rule_id: Type.Optional(
      Type.String({ description: 'The rule that answered, or that was made with the answer: GET /approvals/rules.' }),
    ),
    message: Type.Optional(Type.String({ description: 'What Claude was told, if it was refused.' })),
  }),
  TASK_DELETED: Type.Object({
    ...deletedFields,
    task_id: Type.String(),
    spent: Type.Optional(
      Type.Object(
        {
          usd: Type.Number({ exclusiveMinimum: 0 }),
          ended_on: Type.String({ format: 'date', description: 'The day on which it ended (UTC).' }),
          token_id: Type.Optional(Type.String()),
          exchange_id: Type.Optional(Type.String()),
        },
        { description: 'What it cost, if anything: budgets go on counting it.' },
      ),
    ),
  }),
  SESSION_DELETED: Type.Object(deletedFields),
  SHARED_SET: Type.Object({
    ...sharedFields,
    size: Type.Integer({ minimum: 0, description: 'Bytes of its JSON.' }),
    value: Type.Optional(
      Type.Unknown({ description: 'What it is now. Absent when it is too large for a message: GET /shared/:key.' }),
    ),
  }),
  SHARED_DELETED: Type.Object(sharedFields),
  AGENT_REGISTERED: Type.Object(agentShown),
  AGENT_UPDATED: Type.Object(agentShown),
  AGENT_STATUS: Type.Object({
    ...agentFields,
    status: Type.Enum([...AGENT_STATUSES, 'connected', 'disconnected']),
    reason: Type.Optional(
      Type.String({ description: '`signal`: it said so itself; `lost`: its client was not heard of any more.' }),
    ),
  }),
  AGENT_MESSAGE: Type.Object(messageFields),
  /** As AGENT_MESSAGE, to one that subscribes to its type, whom `agent_id` names. */
  AGENT_COPY: Type.Object(messageFields),
  /** The receipt: these were taken from its inbox, or made into a task. */
  AGENT_DELIVERED: Type.Object({
    ...agentFields,
    seq: Type.Integer({ description: 'All of its messages up to this are taken.' }),
    message_ids: Type.Array(Type.String()),
    task_id: Type.Optional(Type.String({ description: 'Of a managed agent: the task that the message became.' })),
    refused: Type.Optional(Type.String({ description: 'The code of the error with which no task was made of it.' })),
  }),
  /** It stayed in the inbox until it was too old. */
  AGENT_MESSAGE_EXPIRED: Type.Object({ ...agentFields, seq: Type.Integer(), message_id: Type.String() }),
  AGENT_TERMINATED: Type.Object({
    ...agentFields,
    reason: Type.Enum(['removed', 'signal'], { description: '`signal`: it said `[END]`, or was told so.' }),
    by: Type.Optional(Type.String({ description: 'The owner of the token that asked for it.' })),
  }),
  ...conversationEvents,
  WORKER_ONLINE: Type.Object({
    worker_id: Type.String(),
    host: Type.String(),
    pid: Type.Integer(),
    concurrency: Type.Integer(),
    queues: Type.Array(Type.String()),
    containment: Type.Optional(
      Type.Enum([...CONTAINMENTS], {
        description: 'What keeps processes of Claude from outliving the worker: the kernel, or a guard process.',
      }),
    ),
  }),
  WORKER_LIMITED: Type.Object({
    worker_id: Type.String(),
    account: Type.String({ description: 'Tells apart what workers sign in to Claude with; a hash.' }),
    resets_at: Type.String({ format: 'date-time', description: 'Until then no worker of the account takes tasks.' }),
  }),
  WORKER_LIMIT_LIFTED: Type.Object({ by: Type.String({ description: 'The owner of the token that lifted it.' }) }),
  WORKER_DRAINING: Type.Object({ worker_id: Type.String(), running: Type.Integer() }),
  WORKER_OFFLINE: Type.Object({ worker_id: Type.String() }),
} as const;

export type EventType = keyof typeof EVENT_DATA;
export type EventData<T extends EventType> = Static<(typeof EVENT_DATA)[T]>;

/** An event as it is published: what the broker stores. */
export interface StoredEvent<T extends EventType = EventType> {
  v: number;
  /** A UUIDv7, also the `Nats-Msg-Id`. */
  id: string;
  type: T;
  /** ISO 8601, UTC, by the publisher's clock. */
  timestamp: string;
  data: EventData<T>;
}

/** The envelope that WebSocket, SSE and GET give. */
export const EventEnvelope = Type.Object({
  v: Type.Integer(),
  id: Type.String(),
  type: Type.String(),
  timestamp: Type.String({ format: 'date-time' }),
  seq: Type.Integer({ description: 'The sequence in KSI_EVENTS.' }),
  cursor: Type.String({ description: 'Opaque; give it as `since` to go on after this event.' }),
  subject: Type.String(),
  data: Type.Record(Type.String(), Type.Unknown()),
});
export type EventEnvelope = Static<typeof EventEnvelope>;

/** Partial text on `ksi.live.task.<task_id>`: no `seq`, never stored, may be missed. */
export const SpawnDelta = Type.Object({
  v: Type.Integer(),
  type: Type.Literal('SPAWN_DELTA'),
  timestamp: Type.String(),
  data: Type.Object({
    task_id: Type.String(),
    session_id: Type.String(),
    owner: Type.String(),
    attempt: Type.Integer(),
    part: Type.Integer({
      minimum: 0,
      description: 'How many complete messages with text the attempt has had before: which one this belongs to.',
    }),
    offset: Type.Integer({
      minimum: 0,
      description:
        "Length of the message's text before this, in UTF-16 code units: a reader can tell that it missed some.",
    }),
    text: Type.String(),
  }),
});
export type SpawnDelta = Static<typeof SpawnDelta>;

/** Of an agent's message what is put apart is several of its fields. */
const isMessage = (type: string): boolean => type === 'AGENT_MESSAGE' || type === 'AGENT_COPY';

/** The field that is put apart, of other events. */
function bodyField(type: string): string {
  if (type === 'SPAWN_MESSAGE') return 'message';
  if (type === 'SPAWN_INPUT' || type.startsWith('CONVERSATION_')) return 'text';
  return type === 'APPROVAL_REQUESTED' ? 'input' : 'output';
}

/** An event's data, to which `body` is put back: what was too large for a message, and is referred to by its `ref`. */
export const withBody = (type: string, data: object, body: unknown): Record<string, unknown> => ({
  ...data,
  ...(isMessage(type) ? (body as object) : { [bodyField(type)]: body }),
});
