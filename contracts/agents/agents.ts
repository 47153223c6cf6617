import { Type, type Static } from 'typebox';
import { ClaudeOptions } from '../tasks/claude-options.js';
import { ExchangeLimits } from '../access/exchanges.js';
import { QUEUE_PATTERN, DEFAULT_QUEUE, OWNER_PATTERN, UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { createdFilter, ownerFilter, pageOf, pageQuery, statusFilter } from '../wire/page.js';
import { WORKSPACE_PATTERN } from '../tasks/workspace.js';
import { expectedRevision, revision } from '../wire/revision.js';
import { recordKind } from '../wire/record-kind.js';

/** An agent's id, a token of a subject. A leading `_` is not allowed: the token `_` means "no addressee". */
export const AGENT_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$';
/** A message type, a token of a subject. KSI defines some (MESSAGE_TYPES). Users may define others. */
export const MESSAGE_TYPE_PATTERN = '^[A-Za-z0-9_-]{1,64}$';

/** `external`: a client that reads its inbox. `managed`: KSI runs a task in the agent's session for each message. */
export const AGENT_KINDS = ['external', 'managed'] as const;
export type AgentKind = (typeof AGENT_KINDS)[number];
/**
 * - `active`: the agent gets messages.
 * - `paused`: messages wait in its inbox.
 * - `ended`: the agent sent `[END]`, or someone ended it. Messages wait in its inbox until it is active again.
 */
export const AGENT_STATUSES = ['active', 'paused', 'ended'] as const;
export type AgentStatus = (typeof AGENT_STATUSES)[number];

const agentId = Type.String({ pattern: AGENT_PATTERN, description: 'Unique in the cluster. Default: a new UUID.' });
const role = Type.String({
  minLength: 1,
  maxLength: 64,
  default: 'general',
  description: 'The role of the agent, such as `reviewer`.',
});
const capabilities = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
  maxItems: 64,
  description: 'What the agent can do. Tasks are routed by capabilities.',
});
const subscriptions = Type.Array(Type.String({ pattern: MESSAGE_TYPE_PATTERN }), {
  maxItems: 64,
  description: 'Message types, such as BROADCAST, of which the agent gets a copy whoever the addressee is.',
});

/** The fields of a spawn request that apply to each task of a managed agent. */
const running = {
  ...ClaudeOptions.properties,
  workspace: Type.Optional(Type.String({ pattern: WORKSPACE_PATTERN })),
  queue: Type.Optional(Type.String({ pattern: QUEUE_PATTERN, default: DEFAULT_QUEUE })),
};
export const AgentOptions = Type.Object(running, {
  additionalProperties: false,
  description: 'Options for the tasks of a managed agent: the same fields as in POST /spawn.',
});
export type AgentOptions = Static<typeof AgentOptions>;

/** The groups of tools that an owner can give to a managed agent, through KSI's MCP server. */
export const AGENT_TOOL_GROUPS = ['agents', 'messages', 'shared', 'spawn'] as const;
const agent_tools = Type.Array(Type.Enum([...AGENT_TOOL_GROUPS]), {
  description:
    'The KSI tools that the agent may use: list agents, send messages, read and set shared state, run tasks. Default: none.',
});

const answersReplies = Type.Boolean({
  default: false,
  description:
    'Run a task for every answer that a managed agent gets. By default, an answer to its own answer is stored and starts no task.',
});

/** The fields of an agent that can change. */
const changeable = {
  role: Type.Optional(role),
  capabilities: Type.Optional(capabilities),
  subscriptions: Type.Optional(subscriptions),
  profile: Type.Optional(
    Type.String({
      maxLength: 128,
      description: 'The profile that supplies `role`, `capabilities` and `options` if you do not set them.',
    }),
  ),
  options: Type.Optional(AgentOptions),
  agent_tools: Type.Optional(agent_tools),
  answers_replies: Type.Optional(answersReplies),
  exchange_limits: Type.Optional(ExchangeLimits),
};

/** POST /agents/register. If the same owner has already registered the agent, it is updated. */
export const AgentRegistration = Type.Object(
  {
    agent_id: Type.Optional(agentId),
    kind: Type.Optional(Type.Enum([...AGENT_KINDS], { default: 'external' })),
    ...changeable,
    session_id: Type.Optional(
      Type.String({
        pattern: UUID_PATTERN,
        description: 'A session of yours that a managed agent continues. Default: a new session.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type AgentRegistration = Static<typeof AgentRegistration>;

/** PATCH /agents/:id. Absent fields do not change. */
export const AgentChange = Type.Object(
  {
    ...changeable,
    status: Type.Optional(
      Type.Enum([...AGENT_STATUSES], {
        description: '`paused`: messages wait in its inbox until it is `active` again.',
      }),
    ),
    ...expectedRevision,
  },
  { additionalProperties: false },
);
export type AgentChange = Static<typeof AgentChange>;

/** An entry of `ksi_agents`. GET /agents/:id answers with it and further fields (AgentView). */
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
  agent_tools: Type.Optional(Type.Array(Type.Enum([...AGENT_TOOL_GROUPS]))),
  answers_replies: Type.Optional(Type.Boolean()),
  exchange_limits: Type.Optional(ExchangeLimits),
  status: Type.Enum([...AGENT_STATUSES]),
  ended_by: Type.Optional(
    Type.String({
      description: 'The message or task whose signal ended the agent most recently. Each signal ends it only once.',
    }),
  ),
  session_id: Type.Optional(Type.String({ description: 'The session of a managed agent.' })),
  created_at: Type.String({ format: 'date-time' }),
  updated_at: Type.String({ format: 'date-time' }),
});
export type Agent = Static<typeof Agent>;

export const AGENT_RECORDS = recordKind(BUCKET.agents, Agent, SUBJECT.agent, { markS: 3_600, watched: true });

export const AgentView = Type.Object({
  ...Agent.properties,
  connected: Type.Boolean({ description: 'For external agents: whether a client is reading the inbox.' }),
  unread: Type.Optional(
    Type.Integer({
      minimum: 0,
      description: 'Number of messages in its inbox that it has not acknowledged. Not in lists.',
    }),
  ),
  revision,
});
export type AgentView = Static<typeof AgentView>;

export const AgentRegistered = Type.Object({
  agent_id: Type.String(),
  status: Type.Literal('registered'),
  session_id: Type.Optional(Type.String()),
  revision: Type.Integer(),
});
export type AgentRegistered = Static<typeof AgentRegistered>;

export const AgentParams = Type.Object(
  { id: Type.String({ pattern: AGENT_PATTERN, description: "The agent's id." }) },
  { additionalProperties: false },
);
export type AgentParams = Static<typeof AgentParams>;

export const AgentsQuery = pageQuery({
  role: Type.Optional(Type.String()),
  capability: Type.Optional(Type.String({ description: 'Only agents with this capability.' })),
  kind: Type.Optional(Type.Enum([...AGENT_KINDS])),
  ...statusFilter(AGENT_STATUSES),
  connected: Type.Optional(Type.Boolean()),
  ...ownerFilter,
  ...createdFilter,
});
export type AgentsQuery = Static<typeof AgentsQuery>;

/** By id. */
export const AgentPage = pageOf(AgentView, {});
export type AgentPage = Static<typeof AgentPage>;

/** The presence of an external agent's client, which reads its inbox. The entry expires unless it is renewed. */
export const AgentPresence = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  owner: Type.String(),
  holder: Type.String({
    description: 'The id of the connection. A connection that finds another id here has been replaced.',
  }),
  kind: Type.Enum(['subscription', 'polling'], { description: 'Whether messages are pushed or read over HTTP.' }),
  since: Type.String({ format: 'date-time' }),
});
export type AgentPresence = Static<typeof AgentPresence>;

/** Seconds after which a presence entry expires unless it is renewed. */
export const AGENT_PRESENCE_TTL_S = 30;

export const AGENT_PRESENCE_RECORDS = recordKind(BUCKET.agentPresence, AgentPresence, SUBJECT.agentPresence, {
  ttlS: AGENT_PRESENCE_TTL_S,
  markS: 3_600,
  watched: true,
});
