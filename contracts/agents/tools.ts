import { Type, type Static, type TObject } from 'typebox';
import { AGENT_PATTERN, MESSAGE_TYPE_PATTERN, type AGENT_TOOL_GROUPS } from './agents.js';
import { NAME_PATTERN, UUID_PATTERN } from '../wire/names.js';
import { TOOL_RULE_PATTERN } from '../tasks/tool-policy.js';

export type AgentToolGroup = (typeof AGENT_TOOL_GROUPS)[number];

/** The MCP server of KSI's own, which a worker gives to Claude: its tools are `mcp__ksi__<name>`. No other server may have the name. */
export const AGENT_TOOL_SERVER = 'ksi';

/** Tasks that a task asks for may ask for others, and these too; but no further. */
export const MAX_DEPTH = 3;
/** Messages and tasks that one attempt may ask for. */
export const MAX_TOOL_CALLS = 64;
/** The longest wait of one call of a tool, in seconds. */
export const MAX_WAIT_S = 600;
/** One request of a worker to an API waits for so long at the most: a longer wait is asked for again, of another API if need be. */
export const WAIT_PER_REQUEST_S = 20;

const closed = { additionalProperties: false };
/** Seconds that a tool waits unless told otherwise. */
export const DEFAULT_WAIT_S = { task_spawn: 0, task_wait: 60 } as const;
const waitS = (tool: keyof typeof DEFAULT_WAIT_S) =>
  Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: MAX_WAIT_S,
      default: DEFAULT_WAIT_S[tool],
      description: 'Seconds to wait for its end. When they are over, the task goes on, and can be waited for again.',
    }),
  );
const key = Type.String({ minLength: 1, maxLength: 256 });

interface HandTool {
  readonly group: AgentToolGroup;
  readonly description: string;
  readonly input: TObject;
  /** It is counted against MAX_TOOL_CALLS. */
  readonly deed?: true;
}

/** What an agent can do by itself, by the name of the tool. All of it as its owner, whose rights, rates and budgets hold. */
export const AGENT_TOOLS = {
  agents_list: {
    group: 'agents',
    description: 'Lists the agents that you can write to: their ids, roles, capabilities and status.',
    input: Type.Object(
      {
        role: Type.Optional(Type.String()),
        capability: Type.Optional(Type.String({ description: 'Those that have it.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
      },
      closed,
    ),
  },
  message_send: {
    group: 'messages',
    description:
      'Sends a message to another agent, which reads it later. Its answer, if there is one, comes to you as a message of its own, in another turn: do not wait for it.',
    input: Type.Object(
      {
        to: Type.String({ pattern: AGENT_PATTERN, description: 'The id of the agent.' }),
        content: Type.String({ minLength: 1 }),
        type: Type.Optional(Type.String({ pattern: MESSAGE_TYPE_PATTERN, default: 'DIRECT_MESSAGE' })),
        conversation_id: Type.Optional(Type.String({ pattern: NAME_PATTERN })),
      },
      closed,
    ),
    deed: true,
  },
  shared_get: {
    group: 'shared',
    description: 'Reads a value that agents share, by its key.',
    input: Type.Object({ key }, closed),
  },
  shared_set: {
    group: 'shared',
    description: 'Sets a value that agents share.',
    input: Type.Object(
      {
        key,
        value: Type.Unknown({ description: 'Any JSON.' }),
        revision: Type.Optional(
          Type.Integer({
            minimum: 0,
            description: 'Only if this is its revision still (0: only if there is none). Default: whatever it is.',
          }),
        ),
      },
      closed,
    ),
    deed: true,
  },
  task_spawn: {
    group: 'spawn',
    description:
      'Has another Claude do a task of its own, in a new session that knows nothing of yours; it may use no other tools than you. Answers with the task, and with its result if it ends while you wait.',
    input: Type.Object(
      {
        prompt: Type.String({ minLength: 1, description: 'All that it needs to know.' }),
        model: Type.Optional(Type.String({ description: 'Default: yours.' })),
        allowed_tools: Type.Optional(
          Type.Array(Type.String({ pattern: TOOL_RULE_PATTERN }), {
            maxItems: 256,
            description: 'Tools that it may use without asking, of those that you may. Default: the same.',
          }),
        ),
        wait_s: waitS('task_spawn'),
      },
      closed,
    ),
    deed: true,
  },
  task_wait: {
    group: 'spawn',
    description: 'Waits for the end of a task, and answers with its status and its result.',
    input: Type.Object({ task_id: Type.String({ pattern: UUID_PATTERN }), wait_s: waitS('task_wait') }, closed),
  },
} as const satisfies Record<string, HandTool>;

export type AgentToolName = keyof typeof AGENT_TOOLS;
export type AgentToolInput<N extends AgentToolName> = Static<(typeof AGENT_TOOLS)[N]['input']>;
export const AGENT_TOOL_NAMES = Object.keys(AGENT_TOOLS) as AgentToolName[];

export const isAgentTool = (name: string): name is AgentToolName => Object.hasOwn(AGENT_TOOLS, name);
/** As Claude names it. */
export const claudeNameOf = (name: AgentToolName): string => `mcp__${AGENT_TOOL_SERVER}__${name}`;

/** In a request's place of a tool: what the budgets leave for the task as it starts. A worker asks it, no agent. */
export const BUDGET_REQUEST = 'budget';
export const BudgetLeft = Type.Object({ usd: Type.Optional(Type.Number({ description: 'Absent: no limit.' })) });
export type BudgetLeft = Static<typeof BudgetLeft>;

/** On `ksi.agent-tools.<process>.<task_id>`, from the worker that runs the task. */
export const AgentToolRequest = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  tool: Type.String(),
  /** Of the one call of the tool: asked again as no answer came, it does nothing twice. */
  call_id: Type.String({ pattern: UUID_PATTERN }),
  input: Type.Unknown(),
});
export type AgentToolRequest = Static<typeof AgentToolRequest>;

export const AgentToolAnswer = Type.Union([
  Type.Object({ ok: Type.Literal(true), result: Type.Unknown() }),
  Type.Object({
    ok: Type.Literal(false),
    code: Type.String({ description: 'Of the error, as over HTTP.' }),
    message: Type.String(),
    /** The same request may be sent again in a moment. */
    retryable: Type.Optional(Type.Boolean()),
  }),
]);
export type AgentToolAnswer = Static<typeof AgentToolAnswer>;

/** The result of task_spawn and task_wait. */
export const AgentToolTask = Type.Object({
  task_id: Type.String(),
  status: Type.String(),
  ended: Type.Boolean(),
  result: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
});
export type AgentToolTask = Static<typeof AgentToolTask>;
