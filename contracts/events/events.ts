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
import { SourceMessage } from '../tasks/message.js';
import { PRIORITIES } from '../wire/names.js';
import { Usage } from '../access/usage.js';

/**
 * The data of events as stored in KSI_EVENTS. WebSocket, SSE and GET add `seq`, `cursor` and `subject`. They also insert a body that was
 * stored as a blob, unless it is larger than 4 MiB (GET /tasks/:id/events/:event_id/body). The JSON at `data.ref` is `data.message` of a
 * SPAWN_MESSAGE, `data.output` of an outcome, `data.input` of an APPROVAL_REQUESTED, `data.text` of a SPAWN_INPUT or a conversation's event,
 * and the fields `content` and `payload` of an AGENT_MESSAGE.
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
  attempt: Type.Integer({ minimum: 1, description: 'The number of the attempt: 1, 2, 3 …' }),
  n: Type.Integer({
    minimum: 1,
    description: 'Numbers the events of an attempt without gaps: 1 (its SPAWN_START), 2, 3 …',
  }),
};

const endingFields = {
  usage: Type.Optional(Usage),
  mcp_servers: Type.Optional(
    Type.Array(McpServerState, { description: "The states of the task's MCP servers in this attempt." }),
  ),
};

/** Fields of deletion events. The deleted object's other events are deleted too. */
const deletedFields = {
  session_id: Type.String(),
  owner: Type.String(),
  by: Type.String({ description: 'The owner of the token that deleted it.' }),
};

/** Fields of changes of shared state. They may arrive out of order: the highest revision is the latest. */
const sharedFields = {
  owner: Type.String(),
  key: Type.String(),
  revision: Type.Integer(),
  by: Type.Optional(Type.String({ description: 'The agent that made the change, if it was an agent.' })),
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
      description: 'The first 200 characters of the prompt. The command contains the whole prompt.',
    }),
    token_id: Type.Optional(Type.String({ description: 'The token that spawned the task.' })),
    start_by: Type.Optional(
      Type.String({ format: 'date-time', description: 'The task expires if it has not started by then.' }),
    ),
    workspace: Type.Optional(Type.String()),
    metadata: Type.Optional(Metadata),
    fork_of: Type.Optional(Type.String({ description: 'The session that was forked.' })),
    retry_of: Type.Optional(Type.String({ description: 'The task that this one retries.' })),
    message: Type.Optional(SourceMessage),
    depth: Type.Optional(
      Type.Integer({ minimum: 1, description: 'How many tasks led to this one, each by a tool call.' }),
    ),
    spawned_by: Type.Optional(Type.String({ description: 'The task whose agent spawned this one.' })),
    exchange_id: Type.Optional(
      Type.String({ description: 'The exchange of agents that led to this task: GET /exchanges/:id.' }),
    ),
  }),
  SPAWN_WAITING: Type.Object({ ...taskFields, queue: Type.String(), reason: Type.Enum([...WAITING_REASONS]) }),
  SPAWN_START: Type.Object({
    ...attemptFields,
    worker_id: Type.String(),
    process: Type.Optional(
      Type.String({
        description: "The worker's name in control subjects: its process in the cluster, or else its id.",
      }),
    ),
    host: Type.String(),
    reads_workspace: Type.Optional(
      Type.String({
        description: 'The workspace that it reads and cannot write in (`workspace_access`), below its outermost root.',
      }),
    ),
    transcript_seq: Type.Integer({
      minimum: 0,
      description:
        "The last sequence of the session's transcript, including subagents, from which the attempt resumes; 0: none.",
    }),
    run: Type.Object(
      { seq: Type.Integer({ minimum: 0 }), delivery: Type.Integer({ minimum: 1 }) },
      {
        description:
          'The run in KSI_COMMANDS and its delivery that this attempt holds. Workers that receive an older delivery do not take the attempt over.',
      },
    ),
  }),
  SPAWN_MESSAGE: Type.Object({
    ...attemptFields,
    message: Type.Optional(Type.Unknown({ description: "A complete message of Claude's output stream, unchanged." })),
    usage: Type.Optional(
      Type.Object(Usage.properties, {
        description:
          'A running sum: what the attempt had used when the message came. Absent: nothing was reported yet.',
      }),
    ),
    ref: Type.Optional(BlobRef),
  }),
  /** Stored before the API answers. Later attempts receive the same input after the prompt. */
  SPAWN_INPUT: Type.Object({
    ...taskFields,
    attempt: Type.Integer({ minimum: 1, description: 'The attempt that was running.' }),
    text: Type.Optional(Type.String({ description: 'The input that Claude received in addition to its prompt.' })),
    by: Type.Optional(Type.String({ description: 'The owner of the token that sent the input.' })),
    ref: Type.Optional(BlobRef),
  }),
  SPAWN_RETRY: Type.Object({
    ...taskFields,
    ...endingFields,
    attempt: Type.Integer({ minimum: 1, description: 'The attempt that was lost or failed.' }),
    reason: Type.Enum([...new Set(RETRY_REASONS)], {
      description:
        'Why the attempt ended: its worker was lost, drained or unable to run it, or the code of the task error.',
    }),
    worker_id: Type.String({
      description: 'The worker that reports this: that of the attempt, or the one that took it over.',
    }),
    counted: Type.Optional(
      Type.Boolean({ description: "Whether the attempt counts against the policy's `max_attempts`." }),
    ),
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
      Type.Enum([...GIVEN_UP], { description: 'Why the task was given up. Such a task has a dead letter.' }),
    ),
    output: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    ref: Type.Optional(BlobRef),
  }),
  SPAWN_CANCELLED: Type.Object({
    ...taskFields,
    reason: Type.Enum([...CANCEL_REASONS]),
    usage: Type.Optional(Usage),
    by: Type.Optional(Type.String({ description: 'The owner of the token that cancelled the task.' })),
  }),
  SPAWN_EXPIRED: Type.Object({
    ...taskFields,
    queue_timeout_s: Type.Number({ description: 'The task had to start within this time after its acceptance.' }),
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
        '`expired`: nobody answered in time. `withdrawn`: the turn ended. An approval without this event ended with its attempt.',
    }),
    by: Type.Optional(Type.String({ description: 'The owner of the token that answered.' })),
    rule_id: Type.Optional(
      Type.String({
        description: 'The rule that answered, or that was created with the answer: GET /approvals/rules.',
      }),
    ),
    message: Type.Optional(Type.String({ description: 'The message to Claude if the tool use was denied.' })),
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
    size: Type.Integer({ minimum: 0, description: 'The size of its JSON in bytes.' }),
    value: Type.Optional(
      Type.Unknown({ description: 'The new value. Absent if it is too large for a message: GET /shared/:key.' }),
    ),
  }),
  SHARED_DELETED: Type.Object(sharedFields),
  AGENT_REGISTERED: Type.Object(agentShown),
  AGENT_UPDATED: Type.Object(agentShown),
  AGENT_STATUS: Type.Object({
    ...agentFields,
    status: Type.Enum([...AGENT_STATUSES, 'connected', 'disconnected']),
    reason: Type.Optional(
      Type.String({ description: '`signal`: the agent reported it; `lost`: its client stopped responding.' }),
    ),
  }),
  AGENT_MESSAGE: Type.Object(messageFields),
  /** A copy of an AGENT_MESSAGE for the agent `agent_id`, which subscribes to its type. */
  AGENT_COPY: Type.Object(messageFields),
  /** A receipt: the messages were acknowledged, or became a task. */
  AGENT_DELIVERED: Type.Object({
    ...agentFields,
    seq: Type.Integer({ description: 'All messages up to this one are acknowledged.' }),
    message_ids: Type.Array(Type.String()),
    task_id: Type.Optional(Type.String({ description: 'For a managed agent: the task that the message became.' })),
    refused: Type.Optional(Type.String({ description: 'The error code if the message could not become a task.' })),
  }),
  /** The message was not acknowledged before it expired. */
  AGENT_MESSAGE_EXPIRED: Type.Object({ ...agentFields, seq: Type.Integer(), message_id: Type.String() }),
  AGENT_TERMINATED: Type.Object({
    ...agentFields,
    reason: Type.Enum(['removed', 'signal'], { description: '`signal`: the agent sent or received `[END]`.' }),
    by: Type.Optional(Type.String({ description: 'The owner of the token that removed the agent.' })),
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
        description: 'What ends processes of Claude when the worker dies: the kernel, or a guard process.',
      }),
    ),
  }),
  WORKER_LIMITED: Type.Object({
    worker_id: Type.String(),
    account: Type.String({ description: "A hash that identifies the workers' Claude account." }),
    resets_at: Type.String({ format: 'date-time', description: 'Until then, workers of the account start no tasks.' }),
  }),
  WORKER_LIMIT_LIFTED: Type.Object({ by: Type.String({ description: 'The owner of the token that lifted it.' }) }),
  WORKER_DRAINING: Type.Object({ worker_id: Type.String(), running: Type.Integer() }),
  WORKER_OFFLINE: Type.Object({ worker_id: Type.String() }),
} as const;

export type EventType = keyof typeof EVENT_DATA;
export type EventData<T extends EventType> = Static<(typeof EVENT_DATA)[T]>;

/** An event as it is published and stored. */
export interface StoredEvent<T extends EventType = EventType> {
  v: number;
  /** A UUIDv7, also the `Nats-Msg-Id`. */
  id: string;
  type: T;
  /** ISO 8601, UTC, by the broker's time. */
  timestamp: string;
  data: EventData<T>;
}

/** An event as WebSocket, SSE and GET send it. */
export const EventEnvelope = Type.Object({
  v: Type.Integer(),
  id: Type.String(),
  type: Type.String(),
  timestamp: Type.String({ format: 'date-time' }),
  seq: Type.Integer({ description: 'The sequence in KSI_EVENTS.' }),
  cursor: Type.String({ description: 'Opaque. Pass it as `since` to continue after this event.' }),
  subject: Type.String(),
  data: Type.Record(Type.String(), Type.Unknown()),
});
export type EventEnvelope = Static<typeof EventEnvelope>;

/** Partial text on `ksi.live.task.<task_id>`. It has no `seq`, is never stored, and may be lost. */
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
      description:
        'The message that this text belongs to: the number of complete messages with text before it in the attempt.',
    }),
    offset: Type.Integer({
      minimum: 0,
      description:
        "The length of the message's text before this, in UTF-16 code units, so that readers detect lost text.",
    }),
    text: Type.String(),
  }),
});
export type SpawnDelta = Static<typeof SpawnDelta>;

/** The field that a body replaces. */
function bodyField(type: string): string {
  if (type === 'SPAWN_MESSAGE') return 'message';
  if (type === 'SPAWN_INPUT' || type.startsWith('CONVERSATION_')) return 'text';
  return type === 'APPROVAL_REQUESTED' ? 'input' : 'output';
}

/** Inserts a body from a blob into an event's data. The body of an agent's message has several fields. */
export const withBody = (type: string, data: object, body: unknown): Record<string, unknown> => ({
  ...data,
  ...(type === 'AGENT_MESSAGE' || type === 'AGENT_COPY' ? (body as object) : { [bodyField(type)]: body }),
});
