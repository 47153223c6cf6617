/** Words that requests choose among, apart from the schemas that hold them: one who only offers them, as the command line does, loads no validator. */

/** How Claude may act without being asked. `bypassPermissions` is missing: with it no rule of a policy would hold. */
export const PERMISSION_MODES = ['default', 'acceptEdits', 'plan', 'dontAsk'] as const;
export type PermissionMode = (typeof PERMISSION_MODES)[number];

export const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;

/** What a task may do in its working folder. */
export const WORKSPACE_ACCESSES = ['write', 'read'] as const;

/**
 * What a token may do. `spawn`: run, steer and put back tasks; `read`: see tasks, sessions, events, workers; `approve`: answer
 * approvals; `agents`: agents, messages, shared state (what a managed agent runs takes `spawn` too); `admin`: tokens and whatever else is the operator's.
 */
export const SCOPES = ['spawn', 'read', 'approve', 'agents', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** How agents talk: who has which part, in which order they speak, and when they are done (src/conversations/modes.ts). */
export const CONVERSATION_MODES = ['debate', 'collaboration', 'teaching', 'brainstorm', 'analysis'] as const;
export type ConversationMode = (typeof CONVERSATION_MODES)[number];

export const CONVERSATION_STATUSES = ['running', 'paused', 'ended'] as const;

/** In one conversation. */
export const MAX_PARTICIPANTS = 8;
export const MAX_TURNS = 500;
