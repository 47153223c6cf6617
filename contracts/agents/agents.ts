import { Type, type Static } from 'typebox';
import { ClaudeOptions } from '../tasks/claude-options.js';
import { ExchangeLimits } from '../access/exchanges.js';
import { QUEUE_PATTERN, DEFAULT_QUEUE, OWNER_PATTERN, UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { createdFilter, ownerFilter, pageOf, pageQuery, statusFilter } from '../wire/page.js';
import { WORKSPACE_PATTERN } from '../tasks/workspace.js';
import { expectedRevision, revision } from '../wire/revision.js';
import { recordKind } from '../wire/record-kind.js';

/** An agent's id: a token of a subject. `_` alone would be no addressee. */
export const AGENT_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$';
/** What a message is: a token of a subject. KSI knows some (see MESSAGE_TYPES); any other is a type of the user's own. */
export const MESSAGE_TYPE_PATTERN = '^[A-Za-z0-9_-]{1,64}$';

/** `external`: a client of its own, which reads its inbox. `managed`: KSI runs it, a task of its session for each message. */
export const AGENT_KINDS = ['external', 'managed'] as const;
export type AgentKind = (typeof AGENT_KINDS)[number];
/**
 * - `active`: takes messages.
 * - `paused`: they wait in its inbox.
 * - `ended`: it said `[END]`, or was told so; they wait in its inbox until it is made active again.
 */
export const AGENT_STATUSES = ['active', 'paused', 'ended'] as const;
export type AgentStatus = (typeof AGENT_STATUSES)[number];

const agentId = Type.String({ pattern: AGENT_PATTERN, description: 'Unique in the cluster. Default: a new UUID.' });
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
export const AgentOptions = Type.Object(running, {
  additionalProperties: false,
  description: "How a managed agent's tasks run: the same fields as in POST /spawn.",
});
export type AgentOptions = Static<typeof AgentOptions>;

/** What its owner lets a managed agent do by itself, through the MCP server that KSI gives it. */
export const AGENT_TOOL_GROUPS = ['agents', 'messages', 'shared', 'spawn'] as const;
const agent_tools = Type.Array(Type.Enum([...AGENT_TOOL_GROUPS]), {
  description:
    'Tools of KSI that it is given: to list agents, send messages, read and set shared state, run tasks. Default: none.',
});

const answersReplies = Type.Boolean({
  default: false,
  description:
    'A managed agent runs for every answer it gets. Default: an answer to its own answer is stored, and starts no task.',
});

/** What of an agent may be given anew. */
const changeable = {
  role: Type.Optional(role),
  capabilities: Type.Optional(capabilities),
  subscriptions: Type.Optional(subscriptions),
  profile: Type.Optional(
    Type.String({ maxLength: 128, description: 'Where role, capabilities and options come from that are not given.' }),
  ),
  options: Type.Optional(AgentOptions),
  agent_tools: Type.Optional(agent_tools),
  answers_replies: Type.Optional(answersReplies),
  exchange_limits: Type.Optional(ExchangeLimits),
};

/** POST /agents/register. One that is registered already, by the same owner, is updated. */
export const AgentRegistration = Type.Object(
  {
    agent_id: Type.Optional(agentId),
    kind: Type.Optional(Type.Enum([...AGENT_KINDS], { default: 'external' })),
    ...changeable,
    session_id: Type.Optional(
      Type.String({
        pattern: UUID_PATTERN,
        description: 'A session of yours in which a managed agent goes on. Default: a new one.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type AgentRegistration = Static<typeof AgentRegistration>;

/** PATCH /agents/:id. What is not given stays. */
export const AgentChange = Type.Object(
  {
    ...changeable,
    status: Type.Optional(
      Type.Enum([...AGENT_STATUSES], { description: '`paused`: its messages wait, until it is `active` again.' }),
    ),
    ...expectedRevision,
  },
  { additionalProperties: false },
);
export type AgentChange = Static<typeof AgentChange>;

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
  agent_tools: Type.Optional(Type.Array(Type.Enum([...AGENT_TOOL_GROUPS]))),
  answers_replies: Type.Optional(Type.Boolean()),
  exchange_limits: Type.Optional(ExchangeLimits),
  status: Type.Enum([...AGENT_STATUSES]),
  ended_by: Type.Optional(
    Type.String({ description: 'The message or task by whose signal it ended last: it ends by each once.' }),
  ),
  session_id: Type.Optional(Type.String({ description: "A managed agent's conversation with Claude." })),
  created_at: Type.String({ format: 'date-time' }),
  updated_at: Type.String({ format: 'date-time' }),
});
export type Agent = Static<typeof Agent>;

export const AGENT_RECORDS = recordKind(BUCKET.agents, Agent, SUBJECT.agent, { markS: 3_600, watched: true });

export const AgentView = Type.Object({
  ...Agent.properties,
  connected: Type.Boolean({ description: 'External: a client reads its inbox now.' }),
  unread: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Messages in its inbox that it has not taken. Not in lists.' }),
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
  capability: Type.Optional(Type.String({ description: 'Those that have it.' })),
  kind: Type.Optional(Type.Enum([...AGENT_KINDS])),
  ...statusFilter(AGENT_STATUSES),
  connected: Type.Optional(Type.Boolean()),
  ...ownerFilter,
  ...createdFilter,
});
export type AgentsQuery = Static<typeof AgentsQuery>;

/** By their ids. */
export const AgentPage = pageOf(AgentView, {});
export type AgentPage = Static<typeof AgentPage>;

/** Whether an external agent's client reads its inbox: an entry that goes unless it is renewed. */
export const AgentPresence = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  owner: Type.String(),
  holder: Type.String({
    description: 'The id of the connection, by which a replaced connection recognises that it is replaced.',
  }),
  kind: Type.Enum(['subscription', 'polling'], { description: 'Whether messages are pushed or read over HTTP.' }),
  since: Type.String({ format: 'date-time' }),
});
export type AgentPresence = Static<typeof AgentPresence>;

/** Seconds that a presence stays without being renewed. */
export const AGENT_PRESENCE_TTL_S = 30;

export const AGENT_PRESENCE_RECORDS = recordKind(BUCKET.agentPresence, AgentPresence, SUBJECT.agentPresence, {
  ttlS: AGENT_PRESENCE_TTL_S,
  markS: 3_600,
  watched: true,
});
