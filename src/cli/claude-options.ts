import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import type { Attachment } from '../../contracts/tasks/attachment.js';
import { EFFORTS, PERMISSION_MODES, type PermissionMode } from '../../contracts/wire/choices.js';
import type { ClaudeOptions } from '../../contracts/tasks/claude-options.js';
import type { Metadata } from '../../contracts/wire/metadata.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import { attachmentOf } from './attachments.js';
import type { Command } from './command.js';
import { commaList, positiveNumber, wholeNumber } from './options.js';

/** The options of Claude for a task, as options of a command. */
export interface ClaudeCliOptions {
  readonly model?: string;
  readonly fallbackModel?: string;
  readonly effort?: ClaudeOptions['effort'];
  readonly allowedTools?: string[];
  readonly disallowedTools?: string[];
  readonly permissionMode?: PermissionMode;
  readonly systemPrompt?: string;
  readonly appendSystemPrompt?: string;
  readonly maxTurns?: number;
  readonly maxBudget?: number;
  readonly outputSchema?: Record<string, unknown>;
  readonly mcpServers?: string[];
  /** `--no-deltas` is false. */
  readonly deltas?: boolean;
  readonly approvals?: true;
  readonly approvalTimeout?: number;
  readonly workspace?: string;
  readonly readOnly?: true;
  readonly attach?: Attachment[];
  readonly metadata?: Metadata;
}

/** The options that apply to all turns of a conversation. */
export const withConversationOptions = (command: Command): Command =>
  command
    .option('-m, --model <model>', 'model or alias')
    .option('--fallback-model <model>', 'model to use when the first is overloaded')
    .addOption(new Option('--effort <effort>', 'how much effort Claude spends').choices([...EFFORTS]))
    .option('--allowed-tools <tools>', 'tools that Claude may use without asking, separated by commas', commaList)
    .option('--disallowed-tools <tools>', 'tools, or uses of tools, to deny, separated by commas', commaList)
    .addOption(
      new Option('--permission-mode <mode>', 'what Claude may do without asking').choices([...PERMISSION_MODES]),
    )
    .option('--system-prompt <text>', 'replaces Claude Code’s system prompt; @FILE reads it from a file', textOrFile)
    .option(
      '--append-system-prompt <text>',
      'appended to Claude Code’s system prompt; @FILE reads it from a file',
      textOrFile,
    )
    .option('--max-turns <count>', 'limit on the turns of Claude', wholeNumber(1))
    .option('--max-budget <usd>', 'limit on the cost, in US dollars', positiveNumber)
    .option('--mcp-servers <names>', 'names of configured MCP servers, separated by commas', commaList)
    .option('--approval-timeout <seconds>', 'how long an approval waits for an answer (600)', wholeNumber(1))
    .option('--workspace <folder>', 'working folder: a configured root, or root/folder')
    .option('--read-only', 'mount the working folder read-only; the task does not wait for tasks that write there')
    .option('--metadata <name=value>', 'label for finding the task; may be repeated', metadata);

export const withClaudeOptions = (command: Command): Command =>
  withConversationOptions(command)
    .option('--output-schema <schema>', 'JSON Schema of the answer; @FILE reads it from a file', jsonObject)
    .option('--no-deltas', 'don’t publish partial text as it is written')
    .option('--approvals', 'request approvals (`ksi approvals`) instead of denying tools that need permission')
    .option('--attach <file>', 'attach a file: an image, a PDF or text; may be repeated', attachment)
    .withValues({ attach: 'files' });

export const claudeOptionsOf = (options: ClaudeCliOptions): Omit<SpawnRequest, 'prompt'> =>
  given({
    model: options.model,
    fallback_model: options.fallbackModel,
    effort: options.effort,
    allowed_tools: options.allowedTools,
    disallowed_tools: options.disallowedTools,
    permission_mode: options.permissionMode,
    system_prompt: options.systemPrompt,
    append_system_prompt: options.appendSystemPrompt,
    max_turns: options.maxTurns,
    max_budget_usd: options.maxBudget,
    output_schema: options.outputSchema,
    mcp_servers: options.mcpServers,
    include_deltas: options.deltas === false ? false : undefined,
    approvals: options.approvals,
    approval_timeout_s: options.approvalTimeout,
    workspace: options.workspace,
    workspace_access: options.readOnly === true ? 'read' : undefined,
    attachments: options.attach,
    metadata: options.metadata,
  });

const given = (fields: { [K in keyof SpawnRequest]?: SpawnRequest[K] | undefined }): Omit<SpawnRequest, 'prompt'> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** @throws {InvalidArgumentError} which commander prints with the option's name. */
function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

const textOrFile = (text: string): string => (text.startsWith('@') ? read(text.slice(1)).toString() : text);

/** The parser of an option that is a JSON object, or `@` and a file with one. */
export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(textOrFile(text));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InvalidArgumentError(error.message);
  }
  throw new InvalidArgumentError('It must be a JSON object.');
}

function attachment(file: string, before: Attachment[] = []): Attachment[] {
  try {
    return [...before, attachmentOf(file, basename(file))];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function metadata(text: string, before: Metadata = {}): Metadata {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be NAME=VALUE.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
