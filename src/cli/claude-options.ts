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

/** What a task asks of Claude, as options of a command. */
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

/** Those that make sense for all that is said in a conversation. */
export const withConversationOptions = (command: Command): Command =>
  command
    .option('-m, --model <model>', 'model or alias')
    .option('--fallback-model <model>', 'what answers when that is overloaded')
    .addOption(new Option('--effort <effort>', 'how much Claude thinks about it').choices([...EFFORTS]))
    .option('--allowed-tools <tools>', 'tools Claude may use without asking, by comma', commaList)
    .option('--disallowed-tools <tools>', 'tools, or uses of them, that Claude may not make, by comma', commaList)
    .addOption(
      new Option('--permission-mode <mode>', 'what Claude may do without asking').choices([...PERMISSION_MODES]),
    )
    .option('--system-prompt <text>', 'in the place of Claude Code’s own; @FILE reads it from a file', textOrFile)
    .option('--append-system-prompt <text>', 'after Claude Code’s own; @FILE reads it from a file', textOrFile)
    .option('--max-turns <count>', 'turns after which it ends', wholeNumber(1))
    .option('--max-budget <usd>', 'cost at which it ends, in US dollars', positiveNumber)
    .option('--mcp-servers <names>', 'MCP servers that the operator keeps, by comma', commaList)
    .option('--approval-timeout <seconds>', 'how long an answer is waited for (600)', wholeNumber(1))
    .option('--workspace <folder>', 'working folder: a root that the operator named, or root/folder')
    .option('--read-only', 'nothing in the working folder can be changed; it runs beside a task that writes there')
    .option('--metadata <name=value>', 'to find the task by; may be repeated', metadata);

export const withClaudeOptions = (command: Command): Command =>
  withConversationOptions(command)
    .option('--output-schema <schema>', 'JSON Schema of the answer; @FILE reads it from a file', jsonObject)
    .option('--no-deltas', 'don’t publish partial text as it is written')
    .option('--approvals', 'ask about what needs permission instead of denying it: `ksi approvals`')
    .option('--attach <file>', 'show Claude this file: an image, a PDF or text; may be repeated', attachment)
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
