import { randomUUID } from 'node:crypto';
import { text as readAll } from 'node:stream/consumers';
import { Option } from 'commander';
import type { Command } from '../command.js';
import { PRIORITIES, type Priority } from '../../../contracts/names.js';
import type { SpawnRequest } from '../../../contracts/spawn.js';
import { KsiClient } from '../../client/client.js';
import { claudeOptionsOf, withClaudeOptions, type ClaudeCliOptions } from '../claude-options.js';
import { findConnection } from '../connection.js';
import { CliError, EXIT } from '../exit.js';
import { makeAndFollow } from '../follow.js';
import { positiveNumber, type GlobalOptions } from '../options.js';
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
    .argument('[prompt...]', 'what Claude is asked to do; `-`, or nothing with a pipe, reads it from stdin')
    .option('-s, --session <session>', 'continue or begin a session: its UUID or a name of yours')
    .option('--fork', 'begin a new session from what --session holds, which stays as it is')
    .option('-q, --queue <queue>', 'class of work')
    .addOption(new Option('-p, --priority <priority>', 'which of the queue’s tasks go first').choices([...PRIORITIES]))
    .option('--resume-only', 'refuse a session that is not known yet')
    .option('-w, --wait <seconds>', 'wait no longer for the answer; the task goes on', positiveNumber)
    .option('--no-wait', 'print the task’s id and return')
    .option('--idempotency-key <key>', 'however often it is given, there is one task with it (24 h)')
    .withExamples(
      'ksi spawn "Say hello"',
      'git diff | ksi spawn "Review this change:" -',
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
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const request = requestOf(await promptOf(words), options);
  const idempotencyKey = options.idempotencyKey ?? randomUUID();
  return makeAndFollow(
    client,
    async (signal) => (await client.spawn(request, { signal, idempotencyKey, onRetry: retryNotice() })).accepted,
    {
      output: options.output,
      wait: options.wait ?? true,
      ifUnknown: `it is not known whether the task was accepted. To make sure, repeat the command with: --idempotency-key ${idempotencyKey}`,
    },
  );
}

async function promptOf(words: readonly string[]): Promise<string> {
  const fromPipe = words.length === 0 ? !process.stdin.isTTY : words.includes('-');
  const piped = fromPipe ? await readAll(process.stdin) : '';
  const prompt =
    words.length === 0 || (words.length === 1 && fromPipe)
      ? piped
      : words
          .map((word) => (word === '-' ? `\n\n${piped}` : word))
          .join(' ')
          .trim();
  if (prompt.trim() === '') throw new CliError('There is no prompt. Give one: ksi spawn "Say hello"', EXIT.usage);
  return prompt;
}

const requestOf = (prompt: string, options: Options): SpawnRequest => ({
  prompt,
  ...(options.session === undefined ? {} : { session_id: options.session }),
  ...(options.fork === undefined ? {} : { fork: true }),
  ...claudeOptionsOf(options),
  ...(options.queue === undefined ? {} : { queue: options.queue }),
  ...(options.priority === undefined ? {} : { priority: options.priority }),
  ...(options.resumeOnly === undefined ? {} : { resume_only: true }),
  ...policyOf(options),
});
