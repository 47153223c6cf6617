import { Type, type Static, type TObject } from 'typebox';
import { AGENT_PATTERN, MESSAGE_TYPE_PATTERN, type AGENT_TOOL_GROUPS } from './agents.js';
import { NAME_PATTERN, UUID_PATTERN } from '../wire/names.js';
import { TOOL_RULE_PATTERN } from '../tasks/tool-policy.js';

export type AgentToolGroup = (typeof AGENT_TOOL_GROUPS)[number];

/** KSI's own MCP server, which a worker gives to Claude. Its tools are `mcp__ksi__<name>`. No other server may have this name. */
export const AGENT_TOOL_SERVER = 'ksi';

/** How deep tasks may spawn tasks. */
export const MAX_DEPTH = 3;
/** How many messages, shared values and tasks one attempt may create. */
export const MAX_TOOL_CALLS = 64;
/** The longest wait of one tool call, in seconds. */
export const MAX_WAIT_S = 600;
/** The longest wait of one request from a worker to an API, in seconds. A worker repeats the request for a longer wait, possibly to another API. */
export const WAIT_PER_REQUEST_S = 20;

const closed = { additionalProperties: false };
/** The default wait of a tool, in seconds. */
export const DEFAULT_WAIT_S = { task_spawn: 0, task_wait: 60 } as const;
const waitS = (tool: keyof typeof DEFAULT_WAIT_S) =>
  Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: MAX_WAIT_S,
      default: DEFAULT_WAIT_S[tool],
      description:
        'How many seconds to wait for the end of the task. The task continues after that time, and you can wait for it again.',
    }),
  );
const key = Type.String({ minLength: 1, maxLength: 256 });

interface AgentTool {
  readonly group: AgentToolGroup;
  readonly description: string;
  readonly input: TObject;
  /** The call counts towards MAX_TOOL_CALLS. */
  readonly counted?: true;
}

/** The agent tools by name. A tool acts as the agent's owner: the owner's rights, rate limits and budgets apply. */
export const AGENT_TOOLS = {
  agents_list: {
    group: 'agents',
    description: 'Lists the agents that you can send messages to, with their ids, roles, capabilities and status.',
    input: Type.Object(
      {
        role: Type.Optional(Type.String()),
        capability: Type.Optional(Type.String({ description: 'Only agents with this capability.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
      },
      closed,
    ),
  },
  message_send: {
    group: 'messages',
    description:
      'Sends a message to another agent, which reads it later. If it answers, you get the answer as a separate message in a later turn. Do not wait for it.',
    input: Type.Object(
      {
        to: Type.String({ pattern: AGENT_PATTERN, description: 'The id of the agent.' }),
        content: Type.String({ minLength: 1 }),
        type: Type.Optional(Type.String({ pattern: MESSAGE_TYPE_PATTERN, default: 'DIRECT_MESSAGE' })),
        conversation_id: Type.Optional(Type.String({ pattern: NAME_PATTERN })),
      },
      closed,
    ),
    counted: true,
  },
  shared_get: {
    group: 'shared',
    description: 'Reads a value that agents share, by key.',
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
            description:
              'Set the value only if it still has this revision (0: only if there is no value). Default: any revision.',
          }),
        ),
      },
      closed,
    ),
    counted: true,
  },
  task_spawn: {
    group: 'spawn',
    description:
      'Starts a task for another Claude in a new session, which knows nothing about yours. It may use no tools that you may not use. Returns the task, with its result if it ends while you wait.',
    input: Type.Object(
      {
        prompt: Type.String({
          minLength: 1,
          description: 'The prompt, with everything that the other Claude needs to know.',
        }),
        model: Type.Optional(Type.String({ description: 'Default: your model.' })),
        allowed_tools: Type.Optional(
          Type.Array(Type.String({ pattern: TOOL_RULE_PATTERN }), {
            maxItems: 256,
            description: 'Tools that it may use without asking: a subset of your tools. Default: your tools.',
          }),
        ),
        wait_s: waitS('task_spawn'),
      },
      closed,
    ),
    counted: true,
  },
  task_wait: {
    group: 'spawn',
    description: 'Waits for the end of a task and returns its status and result.',
    input: Type.Object({ task_id: Type.String({ pattern: UUID_PATTERN }), wait_s: waitS('task_wait') }, closed),
  },
} as const satisfies Record<string, AgentTool>;

export type AgentToolName = keyof typeof AGENT_TOOLS;
export type AgentToolInput<N extends AgentToolName> = Static<(typeof AGENT_TOOLS)[N]['input']>;
export const AGENT_TOOL_NAMES = Object.keys(AGENT_TOOLS) as AgentToolName[];

export const isAgentTool = (name: string): name is AgentToolName => Object.hasOwn(AGENT_TOOLS, name);
/** The name that Claude uses for the tool. */
export const claudeNameOf = (name: AgentToolName): string => `mcp__${AGENT_TOOL_SERVER}__${name}`;

/** A request for the rest of the task's budgets, in place of a tool name. A worker sends it when the task starts. */
export const BUDGET_REQUEST = 'budget';
export const BudgetLeft = Type.Object({ usd: Type.Optional(Type.Number({ description: 'Absent: no limit.' })) });
export type BudgetLeft = Static<typeof BudgetLeft>;

/** A request on `ksi.agent-tools.<process>.<task_id>` from the worker that runs the task. */
export const AgentToolRequest = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  tool: Type.String(),
  /** Identifies the tool call. A repeated request with the same id has no further effect. */
  call_id: Type.String({ pattern: UUID_PATTERN }),
  input: Type.Unknown(),
});
export type AgentToolRequest = Static<typeof AgentToolRequest>;

export const AgentToolAnswer = Type.Union([
  Type.Object({ ok: Type.Literal(true), result: Type.Unknown() }),
  Type.Object({
    ok: Type.Literal(false),
    code: Type.String({ description: 'The error code, as over HTTP.' }),
    message: Type.String(),
    /** Whether to send the same request again. */
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
