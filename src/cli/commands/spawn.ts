import type { KsiClient } from '../../client/client.js';
import { randomUUID } from 'node:crypto';
import { Option } from 'commander';
import type { Command } from '../command.js';
import type { Attachment } from '../../../contracts/tasks/attachment.js';
import { PRIORITIES, type Priority } from '../../../contracts/wire/names.js';
import type { SpawnRequest } from '../../../contracts/tasks/spawn.js';
import { claudeOptionsOf, withClaudeOptions, type ClaudeCliOptions } from '../claude-options.js';
import { CliError, EXIT } from '../exit.js';
import { makeAndFollow } from '../follow.js';
import { attachmentsOf, describeAttached, describeMissing, findMentions } from '../mentions.js';
import { positiveNumber, type GlobalOptions } from '../options.js';
import { say } from '../output/say.js';
import { sayOrRead, withPiped } from '../prompt.js';
import { policyOf, withPolicyOptions, type PolicyOptions } from '../policy-options.js';
import { workspaceFor } from '../roots.js';
import { retryNotice } from '../run.js';
import { defined } from '../../defined.js';

interface Options extends GlobalOptions, PolicyOptions, ClaudeCliOptions {
  readonly session?: string;
  readonly here?: true;
  readonly fork?: true;
  readonly queue?: string;
  readonly priority?: Priority;
  readonly resumeOnly?: true;
  readonly idempotencyKey?: string;
  /** `--no-wait` is false. */
  readonly wait?: number | false;
}

/** `ksi spawn` */
export function register(program: Command): void {
  const command = program
    .command('spawn')
    .description('Run Claude and print its answer as it is written')
    .argument('[prompt...]', 'the prompt; piped text is appended, or inserted at `-`')
    .option('-s, --session <session>', 'the session to continue or start: its UUID or name')
    .option('--fork', 'start a new session from the transcript of --session, which stays unchanged')
    .option('--here', 'work in this folder; asks once for each repository')
    .option('-q, --queue <queue>', 'the queue')
    .addOption(new Option('-p, --priority <priority>', 'the priority within the queue').choices([...PRIORITIES]))
    .option('--resume-only', 'fail if the session does not exist')
    .option('-w, --wait <seconds>', 'how long to wait for the answer; the task continues after that', positiveNumber)
    .option('--no-wait', 'print the task’s id and return')
    .option('--idempotency-key <key>', 'create at most one task with this key (24 h)')
    .withValues({ session: 'sessions', queue: 'queues' })
    .withNotes(
      'stdin is read if it is a pipe or a file, but not if it is a terminal, /dev/null or closed, as in cron. A socket, as with ssh without a terminal, is read if data arrives within 3 s. `-` in the prompt always waits for stdin. `< /dev/null` or --no-input never reads it; use that in a loop that reads its own lines from stdin.',
      '@FILE at the start of a word attaches the file if it exists: text, image or PDF. Email addresses and packages (@scope/name) are left as they are. Write `@@FILE` or `\\@FILE` for the literal text @FILE.',
    )
    .withExamples(
      'ksi spawn "Say hello"',
      'ksi spawn --here "Summarise this repository"',
      'git diff | ksi spawn "Review this change" > review.md',
      'ksi spawn "What does @src/main.ts do?"',
      'ksi spawn --session notes "What did I say before?"',
      'ksi spawn -- "-v is which option of curl?"',
      'ksi spawn --max-attempts 1 --timeout 600 "Run the tests"',
      'ksi spawn --workspace website --allowed-tools "Read,Edit,Bash(npm test)" "Fix the failing test"',
      'ksi spawn --session notes --fork "What if we had done it the other way?"',
      'ksi spawn --attach plan.pdf --output-schema @verdict.json "Is this plan sound?"',
      'ksi spawn --idempotency-key nightly-2026-01-31 "Summarise what changed"',
      'ksi logs -f $(ksi spawn --no-wait "Summarise this repository")',
    )
    .calls(spawn);
  withPolicyOptions(withClaudeOptions(command));
}

async function spawn(client: KsiClient, words: readonly string[], options: Options): Promise<number> {
  const workspace = await workspaceOf(options);
  const request = { ...requestOf(await promptOf(words, options), options), ...defined({ workspace }) };
  if (process.stderr.isTTY) say(options, whereOf(request));
  const idempotencyKey = options.idempotencyKey ?? randomUUID();
  const onRetry = retryNotice(options);
  return await makeAndFollow(
    client,
    async (signal) => (await client.spawn(request, { signal, idempotencyKey, onRetry })).accepted,
    {
      ...options,
      wait: options.wait ?? true,
      ifUnknown: `it is unknown whether the task was accepted. Repeat the command safely with: --idempotency-key ${idempotencyKey}`,
    },
  );
}

/** @throws {CliError} */
async function workspaceOf(options: Options): Promise<string | undefined> {
  if (options.here !== true) return options.workspace;
  if (options.workspace !== undefined) throw new CliError('Use either --here or --workspace, not both.', EXIT.usage);
  const workspace = await workspaceFor(process.cwd(), options);
  if (workspace === undefined) throw new CliError('Nothing was started.', EXIT.usage);
  return workspace;
}

/** Where Claude will work. */
function whereOf({ workspace, session_id: session }: SpawnRequest): string {
  if (workspace !== undefined) return `Claude works in ${workspace}.`;
  if (session !== undefined) return 'Claude works in the folder of the session.';
  return 'Claude works in an empty folder of its own. --here works in this folder.';
}

/** Combines the typed and piped text, and attaches mentioned files. Mentions in piped text are not resolved. */
async function promptOf(words: readonly string[], options: Options): Promise<Prompt> {
  const { words: typed, piped } = await sayOrRead(words, options);
  if (typed === undefined && (piped ?? '').trim() === '')
    throw new CliError('The prompt is empty. Pass it: ksi spawn "Say hello"', EXIT.usage);
  const { text, mentions, missing } = findMentions(typed ?? '', process.cwd());
  if (missing.length > 0) say(options, describeMissing(missing));
  let attachments: Attachment[];
  try {
    attachments = attachmentsOf(mentions);
  } catch (error) {
    throw new CliError(
      `${(error as Error).message} To mention a file without attaching it, write @@.`,
      EXIT.usage,
      error,
    );
  }
  if (attachments.length > 0) say(options, `attached: ${describeAttached(attachments)}`);
  return { text: withPiped(typed === undefined ? undefined : text, piped), attachments };
}

interface Prompt {
  readonly text: string;
  readonly attachments: readonly Attachment[];
}

const requestOf = ({ text, attachments }: Prompt, options: Options): SpawnRequest => ({
  prompt: text,
  ...claudeOptionsOf(options),
  ...(attachments.length === 0 ? {} : { attachments: [...(options.attach ?? []), ...attachments] }),
  ...defined({
    session_id: options.session,
    fork: options.fork,
    queue: options.queue,
    priority: options.priority,
    resume_only: options.resumeOnly,
  }),
  ...policyOf(options),
});
