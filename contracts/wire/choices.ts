/** Enumerations of requests, in a file without schemas, so that the command line can list them without loading the validator. */

/** What Claude may do without asking. `bypassPermissions` is left out because it would disable the tool policy. */
export const PERMISSION_MODES = ['default', 'acceptEdits', 'plan', 'dontAsk'] as const;
export type PermissionMode = (typeof PERMISSION_MODES)[number];

export const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;

/** What a task may do in its working folder. */
export const WORKSPACE_ACCESSES = ['write', 'read'] as const;

/**
 * What a token may do. `spawn`: spawn, steer and requeue tasks. `read`: see tasks, sessions, events and workers. `approve`: answer approvals.
 * `agents`: manage agents, messages and shared state (a managed agent's tasks also need `spawn`). `admin`: tokens and operator functions.
 */
export const SCOPES = ['spawn', 'read', 'approve', 'agents', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** The rules of a conversation: parts, order of turns, and when it ends (src/conversations/modes.ts). */
export const CONVERSATION_MODES = ['debate', 'collaboration', 'teaching', 'brainstorm', 'analysis'] as const;
export type ConversationMode = (typeof CONVERSATION_MODES)[number];

export const CONVERSATION_STATUSES = ['running', 'paused', 'ended'] as const;

/** Limits of a conversation. */
export const MAX_PARTICIPANTS = 8;
export const MAX_TURNS = 500;
