import type { Task } from '../../../contracts/tasks/task.js';
import { timerMs } from '../../clock.js';
import type { KsiClient } from '../../client/client.js';
import { KsiTaskError } from '../../client/errors.js';
import type { Command } from '../command.js';
import { EXIT } from '../exit.js';
import { taskIds } from '../ids.js';
import { positiveNumber, type GlobalOptions } from '../options.js';
import { printLines } from '../output/print.js';
import { say } from '../output/say.js';
import { Spinner } from '../output/spinner.js';
import { reportFailure, retryNotice } from '../run.js';

interface Options extends GlobalOptions {
  readonly timeout?: number;
  readonly any?: true;
}

/** `ksi wait ID…` */
export function register(program: Command): void {
  program
    .command('wait')
    .description('Wait until tasks have ended, and print their outcomes')
    .argument('<ids...>', 'the tasks’ ids', taskIds)
    .option('-t, --timeout <seconds>', 'the maximum wait; the tasks continue after that', positiveNumber)
    .option('--any', 'return when one of them has ended')
    .withValues({ ids: 'open tasks' })
    .withNotes(
      `The exit code is ${EXIT.ok} if all tasks completed, ${EXIT.taskFailed} if one failed or expired, or else ${EXIT.cancelled} if one was cancelled.`,
    )
    .withExamples(
      'ksi wait ID && echo done',
      'ksi wait --timeout 60 ID ID',
      'ksi spawn --no-wait "Run the tests" | xargs ksi wait',
      "ksi wait ID -o json | jq -r '.[].output.result'",
    )
    .calls(waitFor);
}

/** Why the wait ended early. */
type Stop = 'timeout' | 'interrupted' | 'enough';

async function waitFor(client: KsiClient, ids: readonly string[], options: Options): Promise<number> {
  const stop = new AbortController();
  const because = (why: Stop) => () => stop.abort(why);
  const interrupt = because('interrupted');
  const timer =
    options.timeout === undefined ? undefined : setTimeout(because('timeout'), timerMs(options.timeout * 1_000));
  process.once('SIGINT', interrupt);
  const spinner = new Spinner(process.stderr, options.quiet !== true);
  const ended: Task[] = [];
  const codes: number[] = [];
  const left = (): string => `waiting for ${ids.length - codes.length} of ${ids.length}`;
  spinner.show(left());
  try {
    await Promise.all(
      ids.map(async (id) => {
        try {
          const task = await outcomeOf(client, id, stop.signal);
          ended.push(task);
          codes.push(exitCodeOf(task));
          spinner.clear();
          if (options.output === 'text' || options.output === 'jsonl') printLines([task], line, options);
        } catch (error) {
          if (stop.signal.aborted) return;
          spinner.clear();
          codes.push(reportFailure(error));
        }
        if (options.any === true) stop.abort('enough' satisfies Stop);
        else if (codes.length < ids.length) spinner.show(left());
      }),
    );
  } finally {
    spinner.clear();
    clearTimeout(timer);
    process.removeListener('SIGINT', interrupt);
  }
  if (options.output === 'json') printLines(ended, line, options);
  const why = stop.signal.aborted ? (stop.signal.reason as Stop) : undefined;
  if (why === 'timeout' || why === 'interrupted') {
    say(options, `${why === 'timeout' ? 'the wait timed out' : 'interrupted'}; the tasks continue`);
    return why === 'timeout' ? EXIT.timeout : EXIT.interrupted;
  }
  return EXIT_CODES.find((code) => codes.includes(code)) ?? EXIT.ok;
}

/** Waits for any outcome. @throws {KsiError} @throws the signal's reason. */
async function outcomeOf(client: KsiClient, id: string, signal: AbortSignal): Promise<Task> {
  try {
    return await client.tasks.handle(id).result({ signal, onRetry: retryNotice({}) });
  } catch (error) {
    if (error instanceof KsiTaskError) return error.task;
    throw error;
  }
}

const exitCodeOf = ({ status }: Task): number =>
  status === 'completed' ? EXIT.ok : status === 'cancelled' ? EXIT.cancelled : EXIT.taskFailed;

/** The priority of exit codes. */
const EXIT_CODES: readonly number[] = [EXIT.auth, EXIT.usage, EXIT.failure, EXIT.taskFailed, EXIT.cancelled];

const line = ({ task_id: id, status, error, reason }: Task): string =>
  `${id}  ${status}${error === undefined ? (reason === undefined ? '' : ` (${reason})`) : `  ${error.code}: ${error.message}`}`;
