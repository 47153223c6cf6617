import { Type, type Static } from 'typebox';
import { EFFORTS, PERMISSION_MODES, WORKSPACE_ACCESSES, type PermissionMode } from '../wire/choices.js';
import { TOOL_RULE_PATTERN } from './tool-policy.js';

/** A leading dash is not allowed, because claude would read the value as a flag. */
const MODEL_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._:/@\\[\\]-]{0,127}$';
export const SERVER_NAME_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
/** The upper limit of `max_budget_usd`, in US dollars. */
export const MAX_RUN_USD = 1_000_000;
const MAX_SYSTEM_PROMPT_CHARS = 200_000;

const rules = (description: string, examples: string[][] = []) =>
  Type.Optional(Type.Array(Type.String({ pattern: TOOL_RULE_PATTERN }), { maxItems: 256, description, examples }));

export { EFFORTS, PERMISSION_MODES, type PermissionMode };

/** The options of Claude itself: top-level fields of a request and of its command. */
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
      description: 'The model to use when `model` is overloaded or not available.',
    }),
  ),
  effort: Type.Optional(
    Type.Enum([...EFFORTS], {
      description: "How much effort Claude spends. Default: the model's default.",
    }),
  ),
  allowed_tools: rules(
    "Tools that Claude may use without asking, one rule per item, in the format of claude's --allowedTools. A tool that needs permission and is not listed is denied.",
    [['Read', 'Bash(git log:*)']],
  ),
  disallowed_tools: rules(
    "Tools, or uses of tools, that are denied to Claude, in the format of claude's --disallowedTools.",
  ),
  permission_mode: Type.Optional(
    Type.Enum([...PERMISSION_MODES], {
      default: 'default',
      description:
        '`acceptEdits`: edits of files in the working folder need no permission. `plan`: Claude reads and plans, and changes nothing. `dontAsk`: like `default`, but tools that need permission are denied without asking.',
    }),
  ),
  system_prompt: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: MAX_SYSTEM_PROMPT_CHARS,
      description: "Replaces Claude Code's system prompt.",
    }),
  ),
  append_system_prompt: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: MAX_SYSTEM_PROMPT_CHARS,
      description: "Appended to Claude Code's system prompt, or to `system_prompt`.",
    }),
  ),
  max_turns: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description: 'The task fails with `claude_max_turns` after this number of turns.',
    }),
  ),
  max_budget_usd: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: MAX_RUN_USD,
      description: 'The task fails with `claude_max_budget` when it has cost this much.',
    }),
  ),
  output_schema: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description:
        'A JSON Schema for the answer: draft 7, `type: "object"`, no external references, at most 64 KiB. The answer is in `output.structured_output`. An answer that does not match fails the task with `output_mismatch`.',
      examples: [{ type: 'object', properties: { verdict: { type: 'string' } }, required: ['verdict'] }],
    }),
  ),
  mcp_servers: Type.Optional(
    Type.Array(Type.String({ pattern: SERVER_NAME_PATTERN }), {
      maxItems: 32,
      uniqueItems: true,
      description:
        'Names of MCP servers that the operator has configured (KSI_MCP_SERVERS). Their tools are named `mcp__<name>__<tool>` and need permission like other tools.',
    }),
  ),
  approvals: Type.Optional(
    Type.Boolean({
      default: false,
      description:
        'Request an approval (APPROVAL_REQUESTED, GET /approvals) for tools that need permission, instead of denying them. Questions that Claude asks the user become approvals too.',
    }),
  ),
  approval_timeout_s: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 86_400,
      default: 600,
      description:
        'How long an approval waits for an answer before it is refused. The wait does not count towards `timeout_s`.',
    }),
  ),
  workspace_access: Type.Optional(
    Type.Enum([...WORKSPACE_ACCESSES], {
      default: 'write',
      description:
        '`write`: a task in a `workspace` waits until it may write there (KSI_WORKSPACE_WRITERS). `read`: the working folder is mounted read-only, and the task does not wait. `read` needs a worker with a sandbox.',
    }),
  ),
  include_deltas: Type.Optional(
    Type.Boolean({ default: true, description: 'Publish partial text while Claude writes it (SPAWN_DELTA).' }),
  ),
});
export type ClaudeOptions = Static<typeof ClaudeOptions>;
