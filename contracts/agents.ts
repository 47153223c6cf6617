import { Type, type Static } from 'typebox';
import { ClaudeOptions } from './claude-options.js';
import { QUEUE_PATTERN, DEFAULT_QUEUE } from './names.js';
import { OWNER_PATTERN } from './tokens.js';
import { WORKSPACE_PATTERN } from './workspace.js';

/** An agent's id: a token of a subject. */
export const AGENT_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
/** What a message is: a token of a subject. KSI knows some (see MESSAGE_TYPES); any other is a type of the user's own. */
export const MESSAGE_TYPE_PATTERN = '^[A-Za-z0-9_-]{1,64}$';

/** `external`: a client of its own, which reads its inbox. `managed`: KSI runs it, a task of its session for each message. */
export const AGENT_KINDS = ['external', 'managed'] as const;
/** `active`: takes messages. `paused`: they wait in its inbox. */
export const AGENT_STATUSES = ['active', 'paused'] as const;

const agentId = Type.String({ pattern: AGENT_PATTERN, description: 'Unique in the cluster.' });
const role = Type.String({ minLength: 1, maxLength: 64, default: 'general', description: 'What it is: `reviewer`.' });
const capabilities = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
  maxItems: 64,
  description: 'What it can do: tasks are routed by them.',
});
const subscriptions = Type.Array(Type.String({ pattern: MESSAGE_TYPE_PATTERN }), {
  maxItems: 64,
  description: 'Message types of which it gets a copy, whomever they are for; BROADCAST among them.',
});

/** How a managed agent's tasks run; fields of a spawn. */
const running = {
  ...ClaudeOptions.properties,
  workspace: Type.Optional(Type.String({ pattern: WORKSPACE_PATTERN })),
  queue: Type.Optional(Type.String({ pattern: QUEUE_PATTERN, default: DEFAULT_QUEUE })),
};
export const AgentOptions = Type.Object(running, { additionalProperties: false });
export type AgentOptions = Static<typeof AgentOptions>;

/** What its owner lets a managed agent do by itself, through the MCP server that KSI gives it. */
export const HANDS = ['agents', 'messages', 'shared', 'spawn'] as const;
const hands = Type.Array(Type.Enum([...HANDS]), {
  description:
    'Tools of KSI that it is given: to list agents, send messages, read and set shared state, run tasks. Default: none.',
});

/** POST /agents/register. One that is registered already, by the same owner, is updated. */
export const AgentRegistration = Type.Object(
  {
    agent_id: Type.Optional(agentId),
    kind: Type.Optional(Type.Enum([...AGENT_KINDS], { default: 'external' })),
    role: Type.Optional(role),
    capabilities: Type.Optional(capabilities),
    subscriptions: Type.Optional(subscriptions),
    profile: Type.Optional(
      Type.String({ description: 'Where role, capabilities and options come from that are not given.' }),
    ),
    options: Type.Optional(AgentOptions),
    hands: Type.Optional(hands),
  },
  { additionalProperties: false },
);
export type AgentRegistration = Static<typeof AgentRegistration>;

/** An entry of `ksi_agents`, and what GET /agents/:id answers, with what is known beside it. */
export const Agent = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  agent_id: Type.String(),
  owner: Type.String({ pattern: OWNER_PATTERN }),
  kind: Type.Enum([...AGENT_KINDS]),
  role: Type.String(),
  capabilities: Type.Array(Type.String()),
  subscriptions: Type.Array(Type.String()),
  profile: Type.Optional(Type.String()),
  options: Type.Optional(AgentOptions),
  hands: Type.Optional(Type.Array(Type.Enum([...HANDS]))),
  status: Type.Enum([...AGENT_STATUSES]),
  session_id: Type.Optional(Type.String({ description: "A managed agent's conversation with Claude." })),
  created_at: Type.String({ format: 'date-time' }),
  updated_at: Type.String({ format: 'date-time' }),
});
export type Agent = Static<typeof Agent>;

export const AgentShown = Type.Object({
  ...Agent.properties,
  connected: Type.Boolean({ description: 'External: a client reads its inbox now.' }),
  unread: Type.Integer({ minimum: 0, description: 'Messages in its inbox that it has not taken.' }),
  revision: Type.Integer({ description: 'Of its entry: give it with an update that must not undo another one.' }),
});
export type AgentShown = Static<typeof AgentShown>;
