import { text as readAll } from 'node:stream/consumers';
import { Option, type Command } from 'commander';
import { PRIORITIES, SUBJECT, type Priority } from '../../../contracts/names.js';
import type { SpawnRequest } from '../../../contracts/spawn.js';
import type { SpawnAccepted } from '../../../contracts/http.js';
import type { TaskErrorBody } from '../../../contracts/events.js';
import { isEnded, statusOfEvent, type TaskStatus } from '../../../contracts/states.js';
import { KsiClient } from '../../client/client.js';
import type { SocketMessage } from '../../client/socket.js';
import { findConnection } from '../connection.js';
import { CliError, EXIT } from '../exit.js';
import { commaList, positiveNumber, withClientOptions, type ClientOptions } from '../options.js';
import { AnswerText, type Piece } from '../output/answer.js';
import { runCommand } from '../run.js';

interface Options extends ClientOptions {
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
  const command = program
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
  $ ksi logs -f $(ksi spawn --no-wait "Summarise this repository")`,
    );
  withClientOptions(command).action((words: string[], options: Options) => runCommand(() => spawn(words, options)));
}

async function spawn(words: readonly string[], options: Options): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const accepted = await client.spawn(requestOf(await promptOf(words), options));
  if (!options.wait) {
    process.stdout.write(`${options.output === 'text' ? accepted.task_id : JSON.stringify(accepted)}\n`);
    return EXIT.ok;
  }
  return follow(client, accepted, options);
}

async function promptOf(words: readonly string[]): Promise<string> {
  const fromPipe = words.length === 0 ? !process.stdin.isTTY : words.includes('-');
  const piped = fromPipe ? (await readAll(process.stdin)).trimEnd() : '';
  const prompt =
    words.length === 0
      ? piped
      : words
          .map((word) => (word === '-' ? `\n\n${piped}` : word))
          .join(' ')
          .trim();
  if (prompt === '') throw new CliError('There is no prompt. Give one: ksi spawn "Say hello"', EXIT.usage);
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

async function follow(client: KsiClient, accepted: SpawnAccepted, options: Options): Promise<number> {
  const { task_id: id } = accepted;
  const stop = new AbortController();
  const interrupt = (): void => stop.abort('interrupted');
  process.once('SIGINT', interrupt);
  const timer =
    options.timeout === undefined ? undefined : setTimeout(() => stop.abort('timeout'), options.timeout * 1_000);
  const printer = printerOf(options);
  try {
    const subjects = [SUBJECT.taskAll(id), SUBJECT.live(id)];
    for await (const message of client.events({ subjects, since: accepted.since, signal: stop.signal })) {
      const status = printer(message);
      if (status !== undefined) return await end(client, id, status, options);
    }
  } finally {
    clearTimeout(timer);
    process.removeListener('SIGINT', interrupt);
  }
  const why = stop.signal.reason === 'timeout' ? `not done after ${options.timeout} s` : 'interrupted';
  process.stderr.write(`\n${why}; the task goes on. Follow it with: ksi logs -f ${id}\n`);
  return stop.signal.reason === 'timeout' ? EXIT.timeout : EXIT.interrupted;
}

/** Shows what comes, and gives back the status of an outcome. */
function printerOf({ output }: Options): (message: SocketMessage) => TaskStatus | undefined {
  const answer = new AnswerText();
  const write = (pieces: readonly Piece[]): void => {
    if (output === 'text') for (const { to, text } of pieces) process[to].write(text);
  };
  return (message) => {
    if (output === 'jsonl') process.stdout.write(`${JSON.stringify(message)}\n`);
    if (!('type' in message)) return undefined;
    if (message.type === 'SPAWN_DELTA') {
      write(answer.delta(message as Parameters<AnswerText['delta']>[0]));
      return undefined;
    }
    const { data } = message as { data: Record<string, unknown> };
    if (message.type === 'SPAWN_MESSAGE') write(answer.message(data['message']));
    if (message.type === 'SPAWN_RETRY')
      write([{ to: 'stderr', text: `the attempt was lost (${String(data['reason'])}); trying again\n` }]);
    const status = statusOfEvent(message.type);
    if (status === undefined || !isEnded(status)) return undefined;
    if (status === 'completed' && !answer.any) write([{ to: 'stdout', text: resultText(data['output']) }]);
    if (answer.any || status === 'completed') write([{ to: 'stdout', text: '\n' }]);
    return status;
  };
}

const resultText = (output: unknown): string => {
  const result = (output as { result?: unknown } | undefined)?.result;
  return typeof result === 'string' ? result : JSON.stringify(output ?? {});
};

async function end(client: KsiClient, id: string, status: TaskStatus, { output }: Options): Promise<number> {
  const task = output === 'json' || status !== 'completed' ? await client.task(id) : undefined;
  if (output === 'json') process.stdout.write(`${JSON.stringify(task)}\n`);
  if (status === 'completed') return EXIT.ok;
  process.stderr.write(`${whyEnded(status, task?.error, task?.reason)}\n`);
  return status === 'cancelled' ? EXIT.cancelled : EXIT.taskFailed;
}

function whyEnded(status: TaskStatus, error: TaskErrorBody | undefined, reason: string | undefined): string {
  return error === undefined
    ? `the task is ${status}${reason === undefined ? '' : ` (${reason})`}`
    : `task failed (${error.code}): ${error.message}`;
}
