import type { Scope } from '../access/tokens.js';

/** How one operation stands in HTTP and NATS. What it is asked and answers: operation-schemas.ts. */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `:name` stands for a field of the request. */
  readonly path: string;
  /** The fields of the request that are not in the path go into a JSON body; without this they go into the query. */
  readonly body?: true;
  /** Those that go into the query beside a body. */
  readonly query?: readonly string[];
  /** What a token must be allowed; none is asked for where it is missing. */
  readonly scope?: Scope;
  /** It is kept in the audit, under its name. */
  readonly changes?: true;
  /**
   * Doing it twice comes to the same as doing it once, so that a client whose answer was lost may ask again: `keyed` ones by
   * their idempotency key alone, messages by their `message_id`. A deletion done before is then answered 404.
   */
  readonly repeatable?: true | 'keyed' | 'message_id';
  /** The answer is text, not JSON. */
  readonly text?: true;
}

/**
 * The operations of the system, by name: `ksi.api.<name>` over NATS, `operationId` of the OpenAPI document. What the HTTP routes, the NATS
 * service and the clients have in common. Over NATS a request is one JSON object with all its fields, and the answer what HTTP's body is.
 */
export const OPERATIONS = {
  // Tasks
  spawn: { method: 'POST', path: '/spawn', body: true, query: ['wait'], scope: 'spawn', changes: true, repeatable: 'keyed' }, // prettier-ignore
  tasks: { method: 'GET', path: '/tasks', scope: 'read', repeatable: true },
  task: { method: 'GET', path: '/tasks/:id', scope: 'read', repeatable: true },
  task_events: { method: 'GET', path: '/tasks/:id/events', scope: 'read', repeatable: true },
  task_output: { method: 'GET', path: '/tasks/:id/output', scope: 'read', repeatable: true },
  task_event_body: { method: 'GET', path: '/tasks/:id/events/:event_id/body', scope: 'read', repeatable: true },
  task_delete: { method: 'DELETE', path: '/tasks/:id', scope: 'spawn', changes: true, repeatable: true },
  tasks_delete: { method: 'DELETE', path: '/tasks', scope: 'spawn', changes: true, repeatable: true },
  cancel: { method: 'POST', path: '/tasks/:id/cancel', scope: 'spawn', changes: true, repeatable: true },
  interrupt: { method: 'POST', path: '/tasks/:id/interrupt', scope: 'spawn', changes: true },
  input: { method: 'POST', path: '/tasks/:id/input', body: true, scope: 'spawn', changes: true },
  retry: { method: 'POST', path: '/tasks/:id/retry', scope: 'spawn', changes: true },

  // Approvals
  approvals: { method: 'GET', path: '/approvals', scope: 'read', repeatable: true },
  approval_rules: { method: 'GET', path: '/approvals/rules', scope: 'read', repeatable: true },
  approval_rule_delete: {
    method: 'DELETE',
    path: '/approvals/rules/:id',
    scope: 'approve',
    changes: true,
    repeatable: true,
  },
  approve: { method: 'POST', path: '/approvals/:id', body: true, scope: 'approve', changes: true },

  // Sessions, and what they took
  sessions: { method: 'GET', path: '/sessions', scope: 'read', repeatable: true },
  session: { method: 'GET', path: '/sessions/:id', scope: 'read', repeatable: true },
  session_transcript: { method: 'GET', path: '/sessions/:id/transcript', scope: 'read', repeatable: true, text: true },
  session_export: { method: 'GET', path: '/sessions/:id/export', scope: 'read', repeatable: true },
  session_import: { method: 'POST', path: '/sessions/import', body: true, scope: 'spawn', changes: true },
  session_delete: { method: 'DELETE', path: '/sessions/:id', scope: 'spawn', changes: true, repeatable: true },
  usage: { method: 'GET', path: '/usage', scope: 'read', repeatable: true },

  // Retention
  retention: { method: 'GET', path: '/retention', scope: 'read', repeatable: true },
  retention_set: { method: 'PUT', path: '/retention', body: true, scope: 'spawn', changes: true, repeatable: true },
  retention_preview: { method: 'GET', path: '/retention/preview', scope: 'read', repeatable: true },
  retention_run: { method: 'POST', path: '/retention/run', scope: 'admin', changes: true, repeatable: true },

  // Dead letters
  dead: { method: 'GET', path: '/dead', scope: 'read', repeatable: true },
  dead_letter: { method: 'GET', path: '/dead/:id', scope: 'read', repeatable: true },
  dead_retry: { method: 'POST', path: '/dead/:id/retry', scope: 'spawn', changes: true, repeatable: true },
  dead_retry_all: { method: 'POST', path: '/dead/retry', body: true, scope: 'spawn', changes: true },
  dead_delete: { method: 'DELETE', path: '/dead/:id', scope: 'spawn', changes: true, repeatable: true },

  // Agents and their messages
  agents: { method: 'GET', path: '/agents', scope: 'read', repeatable: true },
  agent: { method: 'GET', path: '/agents/:id', scope: 'read', repeatable: true },
  agent_register: { method: 'POST', path: '/agents/register', body: true, scope: 'agents', changes: true },
  agent_spawn: { method: 'POST', path: '/agents/spawn', body: true, scope: 'agents', changes: true },
  task_route: { method: 'POST', path: '/agents/route', body: true, scope: 'agents', changes: true },
  agent_update: { method: 'PATCH', path: '/agents/:id', body: true, scope: 'agents', changes: true },
  agent_remove: { method: 'DELETE', path: '/agents/:id', scope: 'agents', changes: true, repeatable: true },
  agent_send: { method: 'POST', path: '/agents/:id/messages', body: true, scope: 'agents', changes: true, repeatable: 'message_id' }, // prettier-ignore
  send: { method: 'POST', path: '/messages', body: true, scope: 'agents', changes: true, repeatable: 'message_id' },
  inbox: { method: 'GET', path: '/agents/:id/inbox', scope: 'agents', repeatable: true },
  exchange: { method: 'GET', path: '/exchanges/:id', scope: 'read', repeatable: true },
  // Not in the audit: its receipt is an event.
  inbox_ack: { method: 'POST', path: '/agents/:id/inbox/ack', body: true, scope: 'agents', repeatable: true },

  // Conversations of agents
  conversations: { method: 'GET', path: '/conversations', scope: 'read', repeatable: true },
  conversation: { method: 'GET', path: '/conversations/:id', scope: 'read', repeatable: true },
  conversation_create: { method: 'POST', path: '/conversations', body: true, scope: 'agents', changes: true },
  conversation_transcript: { method: 'GET', path: '/conversations/:id/transcript', scope: 'read', repeatable: true, text: true }, // prettier-ignore
  conversation_pause: { method: 'POST', path: '/conversations/:id/pause', scope: 'agents', changes: true, repeatable: true }, // prettier-ignore
  conversation_resume: { method: 'POST', path: '/conversations/:id/resume', scope: 'agents', changes: true, repeatable: true }, // prettier-ignore
  conversation_end: { method: 'POST', path: '/conversations/:id/end', scope: 'agents', changes: true, repeatable: true }, // prettier-ignore
  conversation_say: { method: 'POST', path: '/conversations/:id/say', body: true, scope: 'agents', changes: true },
  conversation_delete: { method: 'DELETE', path: '/conversations/:id', scope: 'agents', changes: true, repeatable: true }, // prettier-ignore

  // Access
  tokens: { method: 'GET', path: '/tokens', scope: 'admin', repeatable: true },
  token_create: { method: 'POST', path: '/tokens', body: true, scope: 'admin', changes: true },
  token_revoke: { method: 'DELETE', path: '/tokens/:id', scope: 'admin', changes: true, repeatable: true },
  ticket: { method: 'POST', path: '/tickets', scope: 'read', changes: true, repeatable: true },
  owner_delete: { method: 'DELETE', path: '/owners/:id', scope: 'admin', changes: true, repeatable: true },

  // Shared state
  shared_list: { method: 'GET', path: '/shared', scope: 'read', repeatable: true },
  shared_get: { method: 'GET', path: '/shared/:key', scope: 'read', repeatable: true },
  shared_set: { method: 'PUT', path: '/shared/:key', body: true, scope: 'agents', changes: true },
  shared_delete: { method: 'DELETE', path: '/shared/:key', scope: 'agents', changes: true, repeatable: true },

  // Identities, profiles and prompts
  identities: { method: 'GET', path: '/identities', scope: 'read', repeatable: true },
  identity_create: { method: 'POST', path: '/identities', body: true, scope: 'agents', changes: true },
  identity: { method: 'GET', path: '/identities/:agent_id', scope: 'read', repeatable: true },
  identity_update: { method: 'PATCH', path: '/identities/:agent_id', body: true, scope: 'agents', changes: true, repeatable: true }, // prettier-ignore
  identity_remove: { method: 'DELETE', path: '/identities/:agent_id', scope: 'agents', changes: true, repeatable: true }, // prettier-ignore
  profiles: { method: 'GET', path: '/profiles', scope: 'read', repeatable: true },
  profile: { method: 'GET', path: '/profiles/:name', scope: 'read', repeatable: true },
  profile_set: { method: 'PUT', path: '/profiles/:name', body: true, scope: 'agents', changes: true, repeatable: true },
  profile_delete: { method: 'DELETE', path: '/profiles/:name', scope: 'agents', changes: true, repeatable: true },
  compositions: { method: 'GET', path: '/compositions', scope: 'read', repeatable: true },
  composition: { method: 'GET', path: '/compositions/:name', scope: 'read', repeatable: true },
  composition_validate: { method: 'POST', path: '/compositions/:name/validate', body: true, scope: 'read', repeatable: true }, // prettier-ignore
  composition_compose: { method: 'POST', path: '/compositions/:name/compose', body: true, scope: 'read', repeatable: true }, // prettier-ignore
  composition_select: { method: 'POST', path: '/compositions/select', body: true, scope: 'read', repeatable: true },
  components: { method: 'GET', path: '/components', scope: 'read', repeatable: true },

  // System
  workers: { method: 'GET', path: '/workers', scope: 'read', repeatable: true },
  limit_lift: { method: 'POST', path: '/workers/lift-limit', scope: 'admin', changes: true, repeatable: true },
  queues: { method: 'GET', path: '/queues', scope: 'read', repeatable: true },
  health: { method: 'GET', path: '/health', repeatable: true },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

/** The names of the fields that stand in a path template. */
export const pathFields = (path: string): string[] => [...path.matchAll(/:([a-z_]+)/g)].map(([, name = '']) => name);
