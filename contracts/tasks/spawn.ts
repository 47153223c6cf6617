import { Type, type Static } from 'typebox';
import { DEFAULT_QUEUE, FORMAT_VERSION, NAME_PATTERN, PRIORITIES, QUEUE_PATTERN, UUID_PATTERN } from '../wire/names.js';
import { Attachment } from './attachment.js';
import { BlobRef } from '../wire/blob.js';
import { ClaudeOptions } from './claude-options.js';
import { Metadata } from '../wire/metadata.js';
import { SourceMessage } from './message.js';
import { Policy } from './policy.js';
import { TASK_STATUSES } from './states.js';
import { MAX_TASK_WAIT_S } from './task.js';
import { WORKSPACE_PATTERN } from './workspace.js';

/** The request to run a task, over HTTP (`POST /spawn`) and NATS (`ksi.api.spawn`). `null` for an optional field means absent. */
export const SpawnRequest = Type.Object(
  {
    prompt: Type.String({
      minLength: 1,
      description: 'The prompt for Claude: any UTF-8, at most KSI_MAX_PROMPT_CHARS characters.',
      examples: ['Say hello'],
    }),
    session_id: Type.Optional(
      Type.String({
        pattern: NAME_PATTERN,
        description:
          'The UUID of a session, or a name that you choose. Continues the session, or creates it if it does not exist. Default: a new session.',
      }),
    ),
    resume_only: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Answer 404 instead of creating a session that does not exist.',
      }),
    ),
    ...ClaudeOptions.properties,
    workspace: Type.Optional(
      Type.String({
        pattern: WORKSPACE_PATTERN,
        description:
          'The working folder: one of the roots that the operator configured (KSI_WORKSPACES), or a folder below one. A session stays in the folder in which it began. Default: a private folder for the session.',
        examples: ['website', 'website/docs'],
      }),
    ),
    fork: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Start a new session from a copy of the session `session_id`, which is not changed.',
      }),
    ),
    attachments: Type.Optional(
      Type.Array(Attachment, { maxItems: 32, description: 'Shown to Claude before the prompt.' }),
    ),
    metadata: Type.Optional(Metadata),
    queue: Type.Optional(
      Type.String({
        pattern: QUEUE_PATTERN,
        default: DEFAULT_QUEUE,
        description: 'A queue that the operator has defined.',
      }),
    ),
    priority: Type.Optional(
      Type.Enum([...PRIORITIES], {
        default: 'normal',
        description: 'Tasks of a higher priority start first within a queue.',
      }),
    ),
    ...Policy.properties,
  },
  { additionalProperties: false },
);
export type SpawnRequest = Static<typeof SpawnRequest>;

/** A task as it is stored in KSI_COMMANDS, with everything that a worker needs to run it. */
export const SpawnCommand = Type.Object({
  v: Type.Integer({ minimum: 1, description: `Format version; this build writes ${FORMAT_VERSION}.` }),
  task_id: Type.String({ pattern: UUID_PATTERN }),
  session_id: Type.String({ pattern: UUID_PATTERN }),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  token_id: Type.Optional(Type.String({ description: 'The token that requested the task.' })),
  queue: Type.String(),
  priority: Type.Enum([...PRIORITIES]),
  accepted_at: Type.String({ format: 'date-time' }),
  start_by: Type.Optional(
    Type.String({ format: 'date-time', description: 'The task expires if it has not started by then.' }),
  ),
  prompt: Type.String(),
  // Commands of older builds may have values that a request cannot have now. The worker checks what it passes to Claude.
  ...ClaudeOptions.properties,
  model: Type.Optional(Type.String()),
  allowed_tools: Type.Optional(Type.Array(Type.String())),
  disallowed_tools: Type.Optional(Type.Array(Type.String())),
  budget_usd: Type.Optional(
    Type.Number({
      description: 'What the budgets had left when the task was accepted. An attempt ends when it has cost this much.',
    }),
  ),
  workspace: Type.Optional(Type.String()),
  agent_tools: Type.Optional(
    Type.Array(Type.String(), {
      description: 'The groups of agent tools that its agent may use, from AGENT_TOOL_GROUPS.',
    }),
  ),
  depth: Type.Optional(
    Type.Integer({ minimum: 1, description: 'How many tasks led to it by agent tools. Absent: none.' }),
  ),
  spawned_by: Type.Optional(Type.String({ description: 'The task that spawned this one with an agent tool.' })),
  ancestors: Type.Optional(
    Type.Array(Type.String(), { description: 'All tasks that led to it by agent tools, the first one first.' }),
  ),
  hops: Type.Optional(
    Type.Integer({
      minimum: 1,
      description:
        'The number of messages and tasks of agents that led to it since the last message of a person. Absent: as in `message`, or none.',
    }),
  ),
  exchange_id: Type.Optional(
    Type.String({
      description: 'The message of a person or an external agent that started the exchange which led to this task.',
    }),
  ),
  attachments: Type.Optional(Type.Array(Attachment)),
  metadata: Type.Optional(Metadata),
  all_owners: Type.Optional(
    Type.Boolean({
      description:
        'Its token has access to all owners. Without this field, a worker refuses the task if its session belongs to another owner.',
    }),
  ),
  fork_of: Type.Optional(Type.String({ description: 'The session that is copied when the task starts.' })),
  policy: Type.Optional(Policy),
  retry_of: Type.Optional(Type.String({ description: 'The task that this one runs again.' })),
  agent_id: Type.Optional(Type.String({ description: 'The managed agent whose task it is.' })),
  message: Type.Optional(SourceMessage),
});
export type SpawnCommand = Static<typeof SpawnCommand>;

/** Stored in the stream in place of a command that is too large for a message: its identity and a reference to its JSON. */
export const SpawnCommandRef = Type.Object({
  v: Type.Integer(),
  task_id: Type.String(),
  session_id: Type.String(),
  ref: BlobRef,
});
export type SpawnCommandRef = Static<typeof SpawnCommandRef>;

export const SpawnAccepted = Type.Object({
  task_id: Type.String(),
  session_id: Type.String(),
  session_name: Type.Optional(Type.String()),
  status: Type.Enum([...TASK_STATUSES]),
  message: Type.String(),
  since: Type.String({ description: "A cursor just before the task's first event." }),
});
export type SpawnAccepted = Static<typeof SpawnAccepted>;

export const SpawnQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: MAX_TASK_WAIT_S,
        description:
          'How many seconds to wait for the outcome. Answers 200 with the finished task, or 202 when the time is up.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type SpawnQuery = Static<typeof SpawnQuery>;
