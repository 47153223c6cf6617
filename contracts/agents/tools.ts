import { Type, type Static, type TObject } from 'typebox';
import { AGENT_PATTERN, MESSAGE_TYPE_PATTERN, type HANDS } from './agents.js';
import { NAME_PATTERN, UUID_PATTERN } from '../wire/names.js';
import { TOOL_RULE_PATTERN } from '../tasks/tool-policy.js';

export type Hand = (typeof HANDS)[number];

/** The MCP server of KSI's own, which a worker gives to Claude: its tools are `mcp__ksi__<name>`. No other server may have the name. */
export const HANDS_SERVER = 'ksi';

/** Tasks that a task asks for may ask for others, and these too; but no further. */
export const MOST_DEPTH = 3;
/** Messages and tasks that one attempt may ask for. */
export const MOST_DEEDS = 64;
/** The longest wait of one call of a tool, in seconds. */
export const MOST_WAIT_S = 600;
/** One request of a worker to an API waits for so long at the most: a longer wait is asked for again, of another API if need be. */
export const WAIT_PER_REQUEST_S = 20;

const closed = { additionalProperties: false };
/** Seconds that a tool waits unless told otherwise. */
export const DEFAULT_WAIT_S = { task_spawn: 0, task_wait: 60 } as const;
const waitS = (tool: keyof typeof DEFAULT_WAIT_S) =>
  Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: MOST_WAIT_S,
      default: DEFAULT_WAIT_S[tool],
      description: 'Seconds to wait for its end. When they are over, the task goes on, and can be waited for again.',
    }),
  );
const key = Type.String({ minLength: 1, maxLength: 256 });

interface HandTool {
  readonly hand: Hand;
  readonly description: string;
  readonly input: TObject;
  /** It is counted against MOST_DEEDS. */
  readonly deed?: true;
}

/** What an agent can do by itself, by the name of the tool. All of it as its owner, whose rights, rates and budgets hold. */
export const HAND_TOOLS = {
  agents_list: {
    hand: 'agents',
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
    hand: 'messages',
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
    hand: 'shared',
    description: 'Reads a value that agents share, by its key.',
    input: Type.Object({ key }, closed),
  },
  shared_set: {
    hand: 'shared',
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
    hand: 'spawn',
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
    hand: 'spawn',
    description: 'Waits for the end of a task, and answers with its status and its result.',
    input: Type.Object({ task_id: Type.String({ pattern: UUID_PATTERN }), wait_s: waitS('task_wait') }, closed),
  },
} as const satisfies Record<string, HandTool>;

export type HandToolName = keyof typeof HAND_TOOLS;
export type HandInput<N extends HandToolName> = Static<(typeof HAND_TOOLS)[N]['input']>;
export const HAND_TOOL_NAMES = Object.keys(HAND_TOOLS) as HandToolName[];

export const isHandTool = (name: string): name is HandToolName => Object.hasOwn(HAND_TOOLS, name);
/** As Claude names it. */
export const claudeNameOf = (name: HandToolName): string => `mcp__${HANDS_SERVER}__${name}`;

/** In a request's place of a tool: what the budgets leave for the task as it starts. A worker asks it, no agent. */
export const BUDGET_QUESTION = 'budget';
export const BudgetLeft = Type.Object({ usd: Type.Optional(Type.Number({ description: 'Absent: no limit.' })) });
export type BudgetLeft = Static<typeof BudgetLeft>;

/** On `ksi.hands.<process>.<task_id>`, from the worker that runs the task. */
export const HandsRequest = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  tool: Type.String(),
  /** Of the one call of the tool: asked again as no answer came, it does nothing twice. */
  call_id: Type.String({ pattern: UUID_PATTERN }),
  input: Type.Unknown(),
});
export type HandsRequest = Static<typeof HandsRequest>;

export const HandsAnswer = Type.Union([
  Type.Object({ ok: Type.Literal(true), result: Type.Unknown() }),
  Type.Object({
    ok: Type.Literal(false),
    code: Type.String({ description: 'Of the error, as over HTTP.' }),
    message: Type.String(),
    /** It may be asked again, as it is, in a moment. */
    again: Type.Optional(Type.Boolean()),
  }),
]);
export type HandsAnswer = Static<typeof HandsAnswer>;

/** The result of task_spawn and task_wait. */
export const HandTask = Type.Object({
  task_id: Type.String(),
  status: Type.String(),
  ended: Type.Boolean(),
  result: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
});
export type HandTask = Static<typeof HandTask>;
