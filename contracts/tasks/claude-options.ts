import { Type, type Static } from 'typebox';
import { EFFORTS, PERMISSION_MODES, WORKSPACE_ACCESSES, type PermissionMode } from '../wire/choices.js';
import { TOOL_RULE_PATTERN } from './tool-policy.js';

/** A value that begins with a dash would be a flag to claude. */
const MODEL_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._:/@\\[\\]-]{0,127}$';
export const SERVER_NAME_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
/** What one run may cost at the most, in US dollars. */
export const MAX_RUN_USD = 1_000_000;
const MAX_SYSTEM_PROMPT_CHARS = 200_000;

const rules = (description: string, examples: string[][] = []) =>
  Type.Optional(Type.Array(Type.String({ pattern: TOOL_RULE_PATTERN }), { maxItems: 256, description, examples }));

export { EFFORTS, PERMISSION_MODES, type PermissionMode };

/** What a task asks of Claude itself: the same at the top of a request and of the command that it becomes. */
export const ClaudeOptions = Type.Object({
  model: Type.Optional(
    Type.String({
      pattern: MODEL_PATTERN,
      examples: ['sonnet'],
      description: 'Model or alias. Default: KSI_MODEL of the worker.',
    }),
  ),
  fallback_model: Type.Optional(
    Type.String({
      pattern: MODEL_PATTERN,
      examples: ['haiku'],
      description: 'What answers when the model is overloaded or not available.',
    }),
  ),
  effort: Type.Optional(
    Type.Enum([...EFFORTS], {
      description: "How much Claude thinks about it. Default: the model's own.",
    }),
  ),
  allowed_tools: rules(
    "Tools Claude may use without asking, one rule an item, as in claude's --allowedTools. A tool that needs permission and is not listed is denied.",
    [['Read', 'Bash(git log:*)']],
  ),
  disallowed_tools: rules("Tools, or uses of them, that Claude may not make, as in claude's --disallowedTools."),
  permission_mode: Type.Optional(
    Type.Enum([...PERMISSION_MODES], {
      default: 'default',
      description:
        '`acceptEdits`: edits of files in the working folder need no permission. `plan`: Claude reads and plans, and changes nothing. `dontAsk`: as `default`, without asking anybody.',
    }),
  ),
  system_prompt: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: MAX_SYSTEM_PROMPT_CHARS,
      description: "In the place of Claude Code's own.",
    }),
  ),
  append_system_prompt: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: MAX_SYSTEM_PROMPT_CHARS,
      description: "After Claude Code's own, or after `system_prompt`.",
    }),
  ),
  max_turns: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 10_000, description: 'Turns after which it ends with `claude_max_turns`.' }),
  ),
  max_budget_usd: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: MAX_RUN_USD,
      description: 'Cost at which it ends with `claude_max_budget`.',
    }),
  ),
  output_schema: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description:
        'A JSON Schema (draft 7, `type: "object"`, no references to elsewhere) for the answer, which is then in `output.structured_output`. An answer that does not fit fails the task with `output_mismatch`. At most 64 KiB.',
      examples: [{ type: 'object', properties: { verdict: { type: 'string' } }, required: ['verdict'] }],
    }),
  ),
  mcp_servers: Type.Optional(
    Type.Array(Type.String({ pattern: SERVER_NAME_PATTERN }), {
      maxItems: 32,
      uniqueItems: true,
      description:
        'MCP servers by name, of those that the operator keeps (KSI_MCP_SERVERS). Their tools are `mcp__<name>__<tool>` and need permission like others.',
    }),
  ),
  approvals: Type.Optional(
    Type.Boolean({
      default: false,
      description:
        'Whether a tool that needs permission is asked about (APPROVAL_REQUESTED, GET /approvals) instead of denied at once; so are questions that Claude has.',
    }),
  ),
  approval_timeout_s: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 86_400,
      default: 600,
      description: 'How long an answer is waited for; then it is refused. That time does not count for `timeout_s`.',
    }),
  ),
  workspace_access: Type.Optional(
    Type.Enum([...WORKSPACE_ACCESSES], {
      default: 'write',
      description:
        '`write`: in a `workspace` it waits until it may write there (KSI_WORKSPACE_WRITERS). `read`: its working folder is mounted read-only, and it waits for nobody. That takes a worker with a sandbox.',
    }),
  ),
  include_deltas: Type.Optional(
    Type.Boolean({ default: true, description: 'Whether partial text is published as it is written (SPAWN_DELTA).' }),
  ),
});
export type ClaudeOptions = Static<typeof ClaudeOptions>;
