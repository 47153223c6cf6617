import { randomUUID } from 'node:crypto';
import { Option } from 'commander';
import type { Command } from '../command.js';
import type { Attachment } from '../../../contracts/tasks/attachment.js';
import { PRIORITIES, type Priority } from '../../../contracts/wire/names.js';
import type { SpawnRequest } from '../../../contracts/tasks/spawn.js';
import { claudeOptionsOf, withClaudeOptions, type ClaudeCliOptions } from '../claude-options.js';
import { clientOf } from '../client.js';
import { CliError, EXIT } from '../exit.js';
import { makeAndFollow } from '../follow.js';
import { attachmentsOf, describeAttached, findMentions } from '../mentions.js';
import { positiveNumber, type GlobalOptions } from '../options.js';
import { say } from '../output/say.js';
import { sayOrRead, withPiped } from '../prompt.js';
import { policyOf, withPolicyOptions, type PolicyOptions } from '../policy-options.js';
import { retryNotice, runCommand } from '../run.js';

interface Options extends GlobalOptions, PolicyOptions, ClaudeCliOptions {
  readonly session?: string;
  readonly fork?: true;
  readonly queue?: string;
  readonly priority?: Priority;
  readonly resumeOnly?: true;
  readonly idempotencyKey?: string;
  /** `--no-wait` is false. */
  readonly wait?: number | false;
}

/** `ksi spawn`: runs Claude and prints its answer as it is written. */
export function register(program: Command): void {
  const command = program
    .command('spawn')
    .description('Run Claude and print its answer as it is written')
    .argument('[prompt...]', 'what Claude is asked to do; a pipe or file on stdin is added to it, `-` says where')
    .option('-s, --session <session>', 'continue or begin a session: its UUID or a name of yours')
    .option('--fork', 'begin a new session from what --session holds, which stays as it is')
    .option('-q, --queue <queue>', 'class of work')
    .addOption(new Option('-p, --priority <priority>', 'which of the queue’s tasks go first').choices([...PRIORITIES]))
    .option('--resume-only', 'refuse a session that is not known yet')
    .option('-w, --wait <seconds>', 'wait no longer for the answer; the task goes on', positiveNumber)
    .option('--no-wait', 'print the task’s id and return')
    .option('--idempotency-key <key>', 'however often it is given, there is one task with it (24 h)')
    .withValues({ session: 'sessions', queue: 'queues' })
    .withNotes(
      'stdin is read when it is a pipe or a file; not when it is a terminal, /dev/null or closed, as in cron. A socket, as ssh without a terminal gives, is read if something comes within 3 s. `-` in the prompt waits for whatever it is; `< /dev/null` or --no-input leaves it alone, as in a loop that reads its lines from there.',
      '@FILE at the start of a word attaches that file, if there is one: its text, image or PDF. An address or a package (@scope/name) stays what it is; `@@FILE` and `\\@FILE` are the word @FILE.',
    )
    .withExamples(
      'ksi spawn "Say hello"',
      'git diff | ksi spawn "Review this change" > review.md',
      'ksi spawn "What does @src/main.ts do?"',
      'ksi spawn --session notes "What did I say before?"',
      'ksi spawn -- "-v is which option of curl?"',
      'ksi spawn --max-attempts 1 --timeout 600 "Run the tests"',
      'ksi spawn --workspace website --allowed-tools "Read,Edit,Bash(npm test)" "Mend the failing test"',
      'ksi spawn --session notes --fork "What if we had done it the other way?"',
      'ksi spawn --attach plan.pdf --output-schema @verdict.json "Is this plan sound?"',
      'ksi spawn --idempotency-key nightly-2026-01-31 "Summarise what changed"',
      'ksi logs -f $(ksi spawn --no-wait "Summarise this repository")',
    )
    .action((words: string[], _options: unknown, command: Command) =>
      runCommand(() => spawn(words, command.optsWithGlobals<Options>())),
    );
  withPolicyOptions(withClaudeOptions(command));
}

async function spawn(words: readonly string[], options: Options): Promise<number> {
  await using client = clientOf(options);
  const request = requestOf(await promptOf(words, options), options);
  const idempotencyKey = options.idempotencyKey ?? randomUUID();
  const onRetry = retryNotice(options);
  return await makeAndFollow(
    client,
    async (signal) => (await client.spawn(request, { signal, idempotencyKey, onRetry })).accepted,
    {
      ...options,
      wait: options.wait ?? true,
      ifUnknown: `it is not known whether the task was accepted. To make sure, repeat the command with: --idempotency-key ${idempotencyKey}`,
    },
  );
}

/** What was said and piped, with the files that it speaks of. Those that are only piped are text, whatever they speak of. */
async function promptOf(words: readonly string[], options: Options): Promise<Prompt> {
  const said = await sayOrRead(words, options);
  if (said.words === undefined && (said.piped ?? '').trim() === '')
    throw new CliError('There is no prompt. Give one: ksi spawn "Say hello"', EXIT.usage);
  const { text, mentions } = findMentions(said.words ?? '', process.cwd());
  let attachments: Attachment[];
  try {
    attachments = attachmentsOf(mentions);
  } catch (error) {
    throw new CliError(`${(error as Error).message} To say its name without showing it, write @@.`, EXIT.usage, error);
  }
  if (attachments.length > 0) say(options, `attached: ${describeAttached(attachments)}`);
  return { text: withPiped(said.words === undefined ? undefined : text, said.piped), attachments };
}

interface Prompt {
  readonly text: string;
  readonly attachments: readonly Attachment[];
}

const requestOf = ({ text, attachments }: Prompt, options: Options): SpawnRequest => ({
  prompt: text,
  ...(options.session === undefined ? {} : { session_id: options.session }),
  ...(options.fork === undefined ? {} : { fork: true }),
  ...claudeOptionsOf(options),
  ...(attachments.length === 0 ? {} : { attachments: [...(options.attach ?? []), ...attachments] }),
  ...(options.queue === undefined ? {} : { queue: options.queue }),
  ...(options.priority === undefined ? {} : { priority: options.priority }),
  ...(options.resumeOnly === undefined ? {} : { resume_only: true }),
  ...policyOf(options),
});
