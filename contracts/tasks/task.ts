import { Type, type Static } from 'typebox';
import { Usage } from '../access/usage.js';
import { BlobRef } from '../wire/blob.js';
import { Metadata } from '../wire/metadata.js';
import {
  createdFilter,
  endedFilter,
  metadataFilter,
  ownerFilter,
  pageOf,
  pageQuery,
  statusFilter,
} from '../wire/page.js';
import { NAME_PATTERN, PRIORITIES, QUEUE_PATTERN, UUID_PATTERN } from '../wire/names.js';
import { TaskErrorBody } from './error-body.js';
import { McpServerState } from './mcp-servers.js';
import { SourceMessage } from './message.js';
import { TASK_STATUSES } from './states.js';

/** A task in the read model: GET /tasks/:id, GET /tasks, POST /spawn?wait=, `ksi.api.task`. Absent fields are not known, or not known yet. */
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
  workspace: Type.Optional(Type.String({ description: 'The requested working folder.' })),
  metadata: Type.Optional(Metadata),
  usage: Type.Optional(Usage),
  fork_of: Type.Optional(Type.String({ description: 'The session that its session was copied from.' })),
  retry_of: Type.Optional(Type.String({ description: 'The task that this one runs again.' })),
  message: Type.Optional(SourceMessage),
  depth: Type.Optional(Type.Integer({ minimum: 1, description: 'How many tasks led to it by agent tools.' })),
  spawned_by: Type.Optional(Type.String({ description: 'The task that spawned it with an agent tool.' })),
  exchange_id: Type.Optional(
    Type.String({
      description: 'The message that started the exchange which led to this task. See GET /exchanges/:id.',
    }),
  ),
  created_at: Type.String({ format: 'date-time' }),
  start_by: Type.Optional(
    Type.String({ format: 'date-time', description: 'The task expires if it has not started by then.' }),
  ),
  started_at: Type.Optional(Type.String({ format: 'date-time', description: 'Start of the latest attempt.' })),
  ended_at: Type.Optional(Type.String({ format: 'date-time' })),
  attempt: Type.Integer({ minimum: 0, description: 'Number of attempts started so far.' }),
  worker_id: Type.Optional(Type.String({ description: 'The worker of the latest attempt.' })),
  mcp_servers: Type.Optional(
    Type.Array(McpServerState, { description: 'The state of its MCP servers in the latest attempt that ended.' }),
  ),
  output: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description: "Claude's result object, once completed. Lists contain it only with `include=output`.",
    }),
  ),
  output_ref: Type.Optional(
    Type.Object(BlobRef.properties, {
      description: 'Replaces an output of more than 4 MiB. GET /tasks/:id/output streams the output.',
    }),
  ),
  error: Type.Optional(TaskErrorBody),
  reason: Type.Optional(Type.String({ description: 'Why it was cancelled, expired or is being retried.' })),
});
export type Task = Static<typeof Task>;

export const Output = Type.Record(Type.String(), Type.Unknown(), { description: "Claude's result object." });

/** The maximum time that a request waits for the outcome of a task, in seconds. */
export const MAX_TASK_WAIT_S = 3_600;

export const TaskParams = Type.Object(
  { id: Type.String({ pattern: UUID_PATTERN, description: "The task's id." }) },
  { additionalProperties: false },
);
export type TaskParams = Static<typeof TaskParams>;

export const TaskQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: MAX_TASK_WAIT_S,
        description: 'How many seconds to wait for the outcome. Then answers with the task as it is.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type TaskQuery = Static<typeof TaskQuery>;

export const InputRequest = Type.Object(
  { text: Type.String({ minLength: 1, maxLength: 400_000, description: 'The text for Claude.' }) },
  { additionalProperties: false },
);
export type InputRequest = Static<typeof InputRequest>;

/** The filter fields for listing and deleting tasks. */
export const taskFilter = {
  session_id: Type.Optional(Type.String({ pattern: NAME_PATTERN, description: "A session's UUID or name." })),
  queue: Type.Optional(Type.String({ pattern: QUEUE_PATTERN })),
  spawned_by: Type.Optional(
    Type.String({ pattern: UUID_PATTERN, description: 'Tasks that this task spawned with its agent tools.' }),
  ),
  exchange_id: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: 'Tasks of this exchange.' })),
  ...metadataFilter,
  ...ownerFilter,
  ...createdFilter,
  ...endedFilter,
};

export const TasksQuery = pageQuery({
  ...statusFilter(TASK_STATUSES),
  ...taskFilter,
  include: Type.Optional(
    Type.Enum(['output', 'not_accepted'], {
      description:
        'With `output`, each task includes its output. The page ends early when its outputs reach 4 MiB (over NATS, half a message). Follow `next_cursor`. With `not_accepted`, the list also contains tasks whose request got no answer because the broker failed while they were being stored. They are deleted after an hour.',
    }),
  ),
});
export type TasksQuery = Static<typeof TasksQuery>;

/** Newest first. */
export const TaskPage = pageOf(Task, {
  total: Type.Optional(
    Type.Object(
      {
        tasks: Type.Integer({ minimum: 0 }),
        open: Type.Integer({ minimum: 0, description: 'Tasks that have not ended.' }),
        usage: Usage,
      },
      {
        description:
          'Present with `spawned_by` or `exchange_id`: the totals of all matching tasks, not only of this page.',
      },
    ),
  ),
});
export type TaskPage = Static<typeof TaskPage>;
