import { BlobRef } from '../wire/blob.js';
import { DeletionPending } from '../retention/deletion.js';
import { Type, type Static } from 'typebox';
import { GIVEN_UP } from '../wire/errors.js';
import { EventEnvelope } from '../events/events.js';
import { TaskErrorBody } from '../tasks/error-body.js';
import { McpServerState } from '../tasks/mcp-servers.js';
import { TaskMessage } from '../tasks/message.js';
import { Metadata, METADATA_QUERY_PATTERN } from '../wire/metadata.js';
import { NAME_PATTERN, PRIORITIES, QUEUE_PATTERN, UUID_PATTERN } from '../wire/names.js';
import { OWNER_PATTERN } from '../access/tokens.js';
import { isEnded, TASK_STATUSES } from '../tasks/states.js';
import { Usage } from '../access/usage.js';

/** A task as the read model shows it: GET /tasks/:id, GET /tasks, POST /spawn?wait=, `ksi.api.task`. Absent: not known (yet). */
export const Task = Type.Object({
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  agent_id: Type.Optional(Type.String()),
  owner: Type.String(),
  status: Type.Enum([...TASK_STATUSES]),
  queue: Type.String(),
  priority: Type.Enum([...PRIORITIES]),
  model: Type.Optional(Type.String()),
  prompt_preview: Type.String({ description: 'The first 200 characters of the prompt.' }),
  workspace: Type.Optional(Type.String({ description: 'The working folder that was asked for.' })),
  metadata: Type.Optional(Metadata),
  usage: Type.Optional(Usage),
  fork_of: Type.Optional(Type.String({ description: 'The session that its session goes on from.' })),
  retry_of: Type.Optional(Type.String({ description: 'The task that this one runs again.' })),
  message: Type.Optional(TaskMessage),
  depth: Type.Optional(Type.Integer({ minimum: 1, description: 'How many tasks led to it by their agents’ hands.' })),
  spawned_by: Type.Optional(Type.String({ description: 'The task whose agent asked for it by its own hands.' })),
  exchange_id: Type.Optional(
    Type.String({ description: 'The message that led to it, by agents: see GET /exchanges/:id.' }),
  ),
  created_at: Type.String({ format: 'date-time' }),
  start_by: Type.Optional(
    Type.String({ format: 'date-time', description: 'It expires if it has not started by then.' }),
  ),
  started_at: Type.Optional(Type.String({ format: 'date-time', description: 'Start of the latest attempt.' })),
  ended_at: Type.Optional(Type.String({ format: 'date-time' })),
  attempt: Type.Integer({ minimum: 0, description: 'Attempts begun so far.' }),
  worker_id: Type.Optional(Type.String({ description: 'The worker of the latest attempt.' })),
  mcp_servers: Type.Optional(
    Type.Array(McpServerState, { description: 'What became of its MCP servers in the latest attempt that ended.' }),
  ),
  output: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description: "Claude's result object, once completed. Lists contain it only with `include=output`.",
    }),
  ),
  output_ref: Type.Optional(
    Type.Object(BlobRef.properties, {
      description: 'In place of an output of more than 4 MiB: GET /tasks/:id/output streams it.',
    }),
  ),
  error: Type.Optional(TaskErrorBody),
  reason: Type.Optional(Type.String({ description: 'Why it was cancelled, expired or is being retried.' })),
});
export type Task = Static<typeof Task>;

export const Output = Type.Record(Type.String(), Type.Unknown(), { description: "Claude's result object." });
export const EventBody = Type.Unknown({ description: 'The value that the event lacks.' });

export const SpawnAccepted = Type.Object({
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  status: Type.Enum([...TASK_STATUSES]),
  message: Type.String(),
  since: Type.String({ description: "A cursor from before the task's first event." }),
});
export type SpawnAccepted = Static<typeof SpawnAccepted>;

export const SpawnQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 3600,
        description: 'Seconds to wait for the outcome: 200 and the finished task, or 202 when the time is up.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type SpawnQuery = Static<typeof SpawnQuery>;

export const TaskParams = Type.Object(
  { id: Type.String({ pattern: UUID_PATTERN, description: "The task's id." }) },
  { additionalProperties: false },
);
export type TaskParams = Static<typeof TaskParams>;

export const EventBodyParams = Type.Object(
  { ...TaskParams.properties, event_id: Type.String({ pattern: UUID_PATTERN, description: "The event's id." }) },
  { additionalProperties: false },
);
export type EventBodyParams = Static<typeof EventBodyParams>;

/** Events of a page when a client doesn't say how many. */
export const EVENTS_PAGE = 1_000;

export const TaskEventsQuery = Type.Object(
  {
    since: Type.Optional(Type.String({ description: 'Cursor of the last event seen.' })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000, default: EVENTS_PAGE, description: 'Events of a page; JSON only.' }),
    ),
  },
  { additionalProperties: false },
);
export type TaskEventsQuery = Static<typeof TaskEventsQuery>;

/** In their order. */
export const EventPage = Type.Object({
  events: Type.Array(EventEnvelope),
  cursor: Type.Optional(Type.String({ description: 'Give it as `since` for what follows, when there may be more.' })),
});
export type EventPage = Static<typeof EventPage>;

export const InputRequest = Type.Object(
  { text: Type.String({ minLength: 1, maxLength: 400_000, description: 'What Claude is told.' }) },
  { additionalProperties: false },
);
export type InputRequest = Static<typeof InputRequest>;

export const SessionParams = Type.Object(
  { id: Type.String({ pattern: NAME_PATTERN, description: "The session's UUID or name." }) },
  { additionalProperties: false },
);
export type SessionParams = Static<typeof SessionParams>;

export const OwnerParams = Type.Object(
  { id: Type.String({ pattern: OWNER_PATTERN }) },
  { additionalProperties: false },
);
export type OwnerParams = Static<typeof OwnerParams>;

/** By which tasks are listed and deleted. */
const taskFilter = {
  session_id: Type.Optional(Type.String({ pattern: NAME_PATTERN, description: "A session's UUID or name." })),
  queue: Type.Optional(Type.String({ pattern: QUEUE_PATTERN })),
  spawned_by: Type.Optional(
    Type.String({ pattern: UUID_PATTERN, description: 'Those that this task asked for by its own hands.' }),
  ),
  exchange_id: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: 'Those of one exchange of agents.' })),
  metadata: Type.Optional(
    Type.String({ pattern: METADATA_QUERY_PATTERN, description: 'Those with this: `name:value`.' }),
  ),
};

export const TasksQuery = Type.Object(
  {
    status: Type.Optional(Type.Enum([...TASK_STATUSES])),
    ...taskFilter,
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
    cursor: Type.Optional(Type.String({ description: 'Opaque: `next_cursor` of the page before.' })),
    include: Type.Optional(
      Type.Enum(['output', 'not_accepted'], {
        description:
          'With `output`, each task of the page has its output. The page then ends early when its outputs reach 4 MiB (over NATS, half a message); follow `next_cursor`. With `not_accepted`, tasks that nobody was told of are listed too: the broker failed while they were made, and they are deleted after an hour.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type TasksQuery = Static<typeof TasksQuery>;

/** Newest first. */
export const TaskPage = Type.Object({
  tasks: Type.Array(Task),
  next_cursor: Type.Optional(Type.String()),
  total: Type.Optional(
    Type.Object(
      {
        tasks: Type.Integer({ minimum: 0 }),
        open: Type.Integer({ minimum: 0, description: 'Those that have not ended.' }),
        usage: Usage,
      },
      { description: 'With `spawned_by` or `exchange_id`: of all that fit, not of this page alone.' },
    ),
  ),
});
export type TaskPage = Static<typeof TaskPage>;

const ENDED = TASK_STATUSES.filter((status) => isEnded(status));

/** DELETE /tasks: a page of the ended tasks that match. At least one filter must be given. */
export const TasksDeleteQuery = Type.Object(
  {
    owner: Type.Optional(Type.String({ pattern: OWNER_PATTERN })),
    status: Type.Optional(Type.Enum(ENDED)),
    before: Type.Optional(Type.String({ format: 'date-time', description: 'Those that ended before this time.' })),
    ...taskFilter,
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 500, default: 200, description: 'Tasks that one request deletes.' }),
    ),
    cursor: Type.Optional(Type.String({ description: 'Opaque: `next_cursor` of the answer before.' })),
    dry_run: Type.Optional(Type.Boolean({ description: 'Delete nothing, and say how many would be deleted.' })),
  },
  { additionalProperties: false },
);
export type TasksDeleteQuery = Static<typeof TasksDeleteQuery>;

export const TasksDeleted = Type.Object({
  deleted: Type.Integer({ minimum: 0, description: 'Tasks that this request deleted, or would have deleted.' }),
  refused: Type.Array(Type.Object({ task_id: Type.String(), code: Type.String(), detail: Type.String() }), {
    description: 'Tasks that match and stay.',
  }),
  left: Type.Optional(DeletionPending.properties.left),
  next_cursor: Type.Optional(Type.String({ description: 'Ask again with this: more tasks may match.' })),
});
export type TasksDeleted = Static<typeof TasksDeleted>;

/** A dead letter in a list: without its command and history. */
export const DeadSummary = Type.Object({
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  queue: Type.String(),
  given_up: Type.Enum([...GIVEN_UP]),
  timestamp: Type.String({ format: 'date-time', description: 'Of the outcome.' }),
  error: TaskErrorBody,
});
export type DeadSummary = Static<typeof DeadSummary>;

const deadFilter = {
  queue: Type.Optional(Type.String({ pattern: QUEUE_PATTERN })),
  owner: Type.Optional(Type.String({ pattern: OWNER_PATTERN })),
};

export const DeadQuery = Type.Object(
  {
    ...deadFilter,
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
    cursor: Type.Optional(Type.String({ description: 'Opaque: `next_cursor` of the page before.' })),
  },
  { additionalProperties: false },
);
export type DeadQuery = Static<typeof DeadQuery>;

/** Oldest first. */
export const DeadPage = Type.Object({ letters: Type.Array(DeadSummary), next_cursor: Type.Optional(Type.String()) });
export type DeadPage = Static<typeof DeadPage>;

export const DeadRetryRequest = Type.Object(
  {
    ...deadFilter,
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'So many at the most, the oldest first.' }),
    ),
  },
  { additionalProperties: false },
);
export type DeadRetryRequest = Static<typeof DeadRetryRequest>;

export const DeadRetryAnswer = Type.Object({
  put_back: Type.Array(Type.Object({ retry_of: Type.String(), task_id: Type.String() })),
  refused: Type.Array(Type.Object({ task_id: Type.String(), code: Type.String(), detail: Type.String() }), {
    description: 'Letters that were left where they are.',
  }),
});
export type DeadRetryAnswer = Static<typeof DeadRetryAnswer>;

/** An RFC 9457 problem document. */
export const Problem = Type.Object({
  type: Type.String({ description: 'A link to the explanation of the code.' }),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String({ description: 'Stable; the contract.' }),
  detail: Type.String({ description: 'What happened here, and what to do next.' }),
  instance: Type.Optional(Type.String({ description: "The request's id, as in the logs." })),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
});
export type Problem = Static<typeof Problem>;

export const Health = Type.Object({
  status: Type.Enum(['healthy', 'degraded']),
  version: Type.String(),
  uptime_s: Type.Integer(),
  active_connections: Type.Integer({ description: 'WebSocket and SSE clients of this API.' }),
  broker: Type.Object({ connected: Type.Boolean(), url: Type.Optional(Type.String()) }),
  read_model: Type.Object({
    position: Type.Integer(),
    event_id: Type.Optional(Type.String({ description: 'Of the event at `position`.' })),
    behind: Type.Integer({ description: 'Events not applied yet.' }),
  }),
});
export type Health = Static<typeof Health>;
