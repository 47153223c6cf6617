import { Type, type Static } from 'typebox';
import { DEFAULT_QUEUE, FORMAT_VERSION, NAME_PATTERN, PRIORITIES, QUEUE_PATTERN, UUID_PATTERN } from '../wire/names.js';
import { Attachment } from './attachment.js';
import { BlobRef } from '../wire/blob.js';
import { ClaudeOptions } from './claude-options.js';
import { Metadata } from '../wire/metadata.js';
import { SourceMessage } from './message.js';
import { Policy } from './policy.js';
import { TASK_STATUSES } from './states.js';
import { WORKSPACE_PATTERN } from './workspace.js';

/** What a client asks for, over HTTP (`POST /spawn`) and NATS (`ksi.api.spawn`) alike. `null` for an optional field means absent. */
export const SpawnRequest = Type.Object(
  {
    prompt: Type.String({
      minLength: 1,
      description:
        'What Claude is asked to do. Any UTF-8; reaches Claude over stdin. At most KSI_MAX_PROMPT_CHARS characters.',
      examples: ['Say hello'],
    }),
    session_id: Type.Optional(
      Type.String({
        pattern: NAME_PATTERN,
        description:
          "A session's UUID or a name of yours: continues it, or begins it when it is not known yet. Without one the task gets a new session.",
      }),
    ),
    resume_only: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Refuse (404) instead of beginning a session that is not known yet.',
      }),
    ),
    ...ClaudeOptions.properties,
    workspace: Type.Optional(
      Type.String({
        pattern: WORKSPACE_PATTERN,
        description:
          'The working folder: one of the roots that the operator named (KSI_WORKSPACES), or a folder in it. A session keeps the one that it began in. Default: a folder of its own.',
        examples: ['website', 'website/docs'],
      }),
    ),
    fork: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Begin a new session from what `session_id` holds, which itself stays as it is.',
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
        description: 'Class of work; one that the operator has defined.',
      }),
    ),
    priority: Type.Optional(
      Type.Enum([...PRIORITIES], { default: 'normal', description: "Which of the queue's tasks go first." }),
    ),
    ...Policy.properties,
  },
  { additionalProperties: false },
);
export type SpawnRequest = Static<typeof SpawnRequest>;

/** A task as it stands in KSI_COMMANDS: all that a worker needs to run it. */
export const SpawnCommand = Type.Object({
  v: Type.Integer({ minimum: 1, description: `Format version; this build writes ${FORMAT_VERSION}.` }),
  task_id: Type.String({ pattern: UUID_PATTERN }),
  session_id: Type.String({ pattern: UUID_PATTERN }),
  session_name: Type.Optional(Type.String()),
  owner: Type.String(),
  token_id: Type.Optional(Type.String({ description: 'The token that asked for it.' })),
  queue: Type.String(),
  priority: Type.Enum([...PRIORITIES]),
  accepted_at: Type.String({ format: 'date-time' }),
  start_by: Type.Optional(
    Type.String({ format: 'date-time', description: 'It expires if it has not started by then.' }),
  ),
  prompt: Type.String(),
  // Of older builds some values may be none that a request can have now: what Claude is told is checked by the worker.
  ...ClaudeOptions.properties,
  model: Type.Optional(Type.String()),
  allowed_tools: Type.Optional(Type.Array(Type.String())),
  disallowed_tools: Type.Optional(Type.Array(Type.String())),
  budget_usd: Type.Optional(
    Type.Number({ description: 'What the budgets left for it when it was accepted; an attempt ends at that cost.' }),
  ),
  workspace: Type.Optional(Type.String()),
  agent_tools: Type.Optional(
    Type.Array(Type.String(), { description: 'What its agent may do by itself: those of AGENT_TOOL_GROUPS.' }),
  ),
  depth: Type.Optional(
    Type.Integer({ minimum: 1, description: 'How many tasks led to it, each with its agent tools; absent: none.' }),
  ),
  spawned_by: Type.Optional(Type.String({ description: 'The last of them.' })),
  ancestors: Type.Optional(Type.Array(Type.String(), { description: 'All of them, the first one first.' })),
  hops: Type.Optional(
    Type.Integer({
      minimum: 1,
      description:
        'Messages and tasks of agents that led to it since a person spoke; absent: what its `message` says, or none.',
    }),
  ),
  exchange_id: Type.Optional(
    Type.String({ description: 'The message of a person or an external agent that led to it, by agents.' }),
  ),
  attachments: Type.Optional(Type.Array(Attachment)),
  metadata: Type.Optional(Metadata),
  all_owners: Type.Optional(
    Type.Boolean({
      description: "Its token may go on with other owners' sessions. Without it a worker refuses those.",
    }),
  ),
  fork_of: Type.Optional(
    Type.String({ description: 'The session that this one goes on from, as it stands at its start.' }),
  ),
  policy: Type.Optional(Policy),
  retry_of: Type.Optional(Type.String({ description: 'The task that this one runs again.' })),
  agent_id: Type.Optional(Type.String({ description: 'The managed agent whose task it is.' })),
  message: Type.Optional(SourceMessage),
});
export type SpawnCommand = Static<typeof SpawnCommand>;

/** What stands in the stream in place of a command that is too large for a message: who it is, and where its JSON lies. */
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
