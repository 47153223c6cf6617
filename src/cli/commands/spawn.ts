import { text as readAll } from 'node:stream/consumers';
import { Option, type Command } from 'commander';
import { PRIORITIES, SUBJECT, type Priority } from '../../../contracts/names.js';
import type { SpawnRequest } from '../../../contracts/spawn.js';
import type { SpawnAccepted } from '../../../contracts/http.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { CliError, EXIT } from '../exit.js';
import { commaList, positiveNumber, type GlobalOptions } from '../options.js';
import type { Piece } from '../output/answer.js';
import { AnswerPrinter, type TaskOutcome } from '../output/answer-printer.js';
import { paint } from '../output/colour.js';
import { reportFailure, retryNotice, runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly session?: string;
  readonly model?: string;
  readonly allowedTools?: string[];
  readonly queue?: string;
  readonly priority?: Priority;
  readonly resumeOnly?: true;
  readonly wait: boolean;
  readonly timeout?: number;
}

/** `ksi spawn`: runs Claude and prints its answer as it is written. */
export function register(program: Command): void {
  program
    .command('spawn')
    .description('Run Claude and print its answer as it is written')
    .argument('[prompt...]', 'what Claude is asked to do; `-`, or nothing with a pipe, reads it from stdin')
    .option('-s, --session <session>', 'continue or begin a session: its UUID or a name of yours')
    .option('-m, --model <model>', 'model or alias')
    .option('--allowed-tools <tools>', 'tools Claude may use without asking, by comma', commaList)
    .option('-q, --queue <queue>', 'class of work')
    .addOption(new Option('-p, --priority <priority>', 'which of the queue’s tasks go first').choices([...PRIORITIES]))
    .option('--resume-only', 'refuse a session that is not known yet')
    .option('--no-wait', 'print the task’s id and return')
    .option('-t, --timeout <seconds>', 'wait no longer; the task goes on', positiveNumber)
    .addHelpText(
      'after',
      `
Examples:
  $ ksi spawn "Say hello"
  $ git diff | ksi spawn "Review this change:" -
  $ ksi spawn --session notes "What did I say before?"
  $ ksi spawn -- "-v is which option of curl?"
  $ ksi logs -f $(ksi spawn --no-wait "Summarise this repository")`,
    )
    .action((words: string[], _options: unknown, command: Command) =>
      runCommand(() => spawn(words, command.optsWithGlobals<Options>())),
    );
}

/** Why a wait ended before the outcome. */
type Stop = 'timeout' | 'interrupted';

async function spawn(words: readonly string[], options: Options): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const request = requestOf(await promptOf(words), options);
  const stop = new AbortController();
  const because = (why: Stop) => () => stop.abort(why);
  const interrupt = because('interrupted');
  const timer = options.timeout === undefined ? undefined : setTimeout(because('timeout'), options.timeout * 1_000);
  process.once('SIGINT', interrupt);
  let accepted: SpawnAccepted | undefined;
  try {
    accepted = await client.spawn(request, { signal: stop.signal });
    if (options.wait) return await follow(client, accepted, options, stop.signal);
    process.stdout.write(`${options.output === 'text' ? accepted.task_id : JSON.stringify(accepted)}\n`);
    return EXIT.ok;
  } catch (error) {
    if (stop.signal.aborted) return stopped(stop.signal.reason as Stop, accepted?.task_id);
    if (accepted === undefined || error instanceof CliError) throw error;
    const exitCode = reportFailure(error);
    process.stderr.write(`${goesOn(accepted.task_id)}\n`);
    return exitCode;
  } finally {
    clearTimeout(timer);
    process.removeListener('SIGINT', interrupt);
  }
}

const goesOn = (id: string): string => `the task goes on. Follow it with: ksi logs -f ${id}`;

function stopped(why: Stop, id: string | undefined): number {
  const next = id === undefined ? 'it is not known whether the task was accepted. See: ksi tasks' : goesOn(id);
  process.stderr.write(`\n${why === 'timeout' ? 'not done in time' : 'interrupted'}; ${next}\n`);
  return why === 'timeout' ? EXIT.timeout : EXIT.interrupted;
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
  ...(options.model === undefined ? {} : { model: options.model }),
  ...(options.allowedTools === undefined ? {} : { allowed_tools: options.allowedTools }),
  ...(options.queue === undefined ? {} : { queue: options.queue }),
  ...(options.priority === undefined ? {} : { priority: options.priority }),
  ...(options.resumeOnly === undefined ? {} : { resume_only: true }),
});

/** Shows what comes, to the outcome. @throws the signal's reason. */
async function follow(
  client: KsiClient,
  { task_id: id, since }: SpawnAccepted,
  { output }: Options,
  signal: AbortSignal,
): Promise<number> {
  const printer = new AnswerPrinter(output === 'text' ? writePiece : () => undefined);
  const subjects = [SUBJECT.taskAll(id), SUBJECT.live(id)];
  for await (const message of client.events({ subjects, since, signal, onRetry: retryNotice() })) {
    if (output === 'jsonl') process.stdout.write(`${JSON.stringify(message)}\n`);
    // Its outcome may be among what is gone: to wait for it could be for ever.
    if ('op' in message) throw new CliError(`Some of the task's events are no longer kept. See: ksi task ${id}`);
    const outcome = printer.show(message);
    if (outcome === undefined) continue;
    // The API's read model may be a moment behind the event.
    if (output === 'json')
      process.stdout.write(`${JSON.stringify({ ...(await client.task(id, { signal })), ...outcome })}\n`);
    if (outcome.status === 'completed') return EXIT.ok;
    process.stderr.write(`${paint('red', whyEnded(outcome), process.stderr)}\n`);
    return outcome.status === 'cancelled' ? EXIT.cancelled : EXIT.taskFailed;
  }
  throw signal.reason;
}

const writePiece = ({ to, text }: Piece): void =>
  void process[to].write(to === 'stderr' ? paint('dim', text, process.stderr) : text);

const whyEnded = ({ status, error, reason }: TaskOutcome): string =>
  error === undefined
    ? `the task is ${status}${reason === undefined ? '' : ` (${reason})`}`
    : `task failed (${error.code}): ${error.message}`;
