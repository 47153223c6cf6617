import { SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnAccepted } from '../../contracts/tasks/spawn.js';
import { timerMs } from '../clock.js';
import type { KsiClient } from '../client/client.js';
import type { EventMessage } from '../client/event-message.js';
import type { TaskOutcome } from '../client/outcome.js';
import { CliError, EXIT } from './exit.js';
import type { GlobalOptions } from './options.js';
import type { Piece } from './output/answer.js';
import { AnswerPrinter } from './output/answer-printer.js';
import { paint } from './output/colour.js';
import { printOne } from './output/print.js';
import { jsonLine, shownOn } from './output/printable.js';
import { Spinner } from './output/spinner.js';
import { reportFailure, retryNotice } from './run.js';

export interface FollowOptions extends GlobalOptions {
  /** Seconds to wait for the outcome; true: until it is there, false: print the id and return. */
  readonly wait: number | boolean;
  /** Said when the wait ends before KSI's answer. */
  readonly ifUnknown: string;
}

/** Why a wait ended before the outcome. */
type Stop = 'timeout' | 'interrupted';

/** Has a task made and shows what comes of it, to its outcome. @returns the exit code. */
export async function makeAndFollow(
  client: KsiClient,
  make: (signal: AbortSignal) => Promise<SpawnAccepted>,
  options: FollowOptions,
): Promise<number> {
  const stop = new AbortController();
  const because = (why: Stop) => () => stop.abort(why);
  const interrupt = because('interrupted');
  const timer =
    typeof options.wait === 'number' ? setTimeout(because('timeout'), timerMs(options.wait * 1_000)) : undefined;
  process.once('SIGINT', interrupt);
  let accepted: SpawnAccepted | undefined;
  try {
    accepted = await make(stop.signal);
    if (options.wait !== false) return await follow(client, accepted, options, stop.signal);
    printOne(accepted, ({ task_id: id }) => `${id}\n`, options);
    return EXIT.ok;
  } catch (error) {
    if (stop.signal.aborted) {
      const next = accepted === undefined ? options.ifUnknown : goesOn(accepted.task_id);
      return stopped(stop.signal.reason as Stop, next);
    }
    if (accepted === undefined || error instanceof CliError) throw error;
    const exitCode = reportFailure(error);
    process.stderr.write(`${goesOn(accepted.task_id)}\n`);
    return exitCode;
  } finally {
    clearTimeout(timer);
    process.removeListener('SIGINT', interrupt);
  }
}

const goesOn = (id: string): string =>
  `the task continues. Follow it with: ksi logs -f ${id}\nCancel it with: ksi cancel ${id}`;

function stopped(why: Stop, next: string): number {
  process.stderr.write(`\n${why === 'timeout' ? 'not done in time' : 'interrupted'}; ${next}\n`);
  return why === 'timeout' ? EXIT.timeout : EXIT.interrupted;
}

/** Shows what comes, to the outcome. @throws the signal's reason. */
async function follow(
  client: KsiClient,
  { task_id: id, since }: SpawnAccepted,
  options: FollowOptions,
  signal: AbortSignal,
): Promise<number> {
  const { output } = options;
  using spinner = new Spinner(process.stderr, output === 'text' && options.quiet !== true);
  const printer = new AnswerPrinter(
    output === 'text' ? writer(spinner, options) : () => undefined,
    process.stderr.isTTY ? () => process.stderr.columns : undefined,
  );
  spinner.show('queued');
  const subjects = [SUBJECT.taskAll(id), SUBJECT.live(id)];
  for await (const message of client.events({ subjects, since, signal, onRetry: retryNotice(options) })) {
    if (output === 'jsonl') process.stdout.write(jsonLine(message));
    // The outcome may be among the deleted events, so waiting for it might never end.
    if ('op' in message) throw new CliError(`Some of the task's events are no longer kept. See: ksi task ${id}`);
    const label = labelOf(message);
    if (label !== undefined) spinner.label(label);
    const outcome = printer.show(message);
    if (outcome === undefined) continue;
    spinner.clear();
    // The API's read model may be a moment behind the event.
    if (output === 'json') process.stdout.write(jsonLine({ ...(await client.tasks.get(id, { signal })), ...outcome }));
    if (outcome.status === 'completed') return EXIT.ok;
    process.stderr.write(`${paint('red', shownOn(process.stderr, whyEnded(outcome)), process.stderr)}\n`);
    return outcome.status === 'cancelled' ? EXIT.cancelled : EXIT.taskFailed;
  }
  throw signal.reason;
}

const WAITS: Readonly<Record<string, string>> = {
  session_busy: 'waiting for the session',
  workspace_busy: 'waiting for the workspace',
};

/** What a spinner says before Claude does. */
function labelOf(message: Exclude<EventMessage, { op: string }>): string | undefined {
  switch (message.type) {
    case 'SPAWN_WAITING':
      return WAITS[String(message.data['reason'])] ?? 'waiting';
    case 'SPAWN_START':
      return 'running';
    case 'SPAWN_RETRY':
      return 'waiting to run again';
    default:
      return undefined;
  }
}

/** To a terminal nothing that would steer it is written. Text for a file leaves the spinner where it is, on the terminal. */
const writer =
  (spinner: Spinner, { quiet }: FollowOptions) =>
  ({ to, text }: Piece): void => {
    if (to === 'stderr') {
      if (quiet !== true)
        spinner.aside(() => process.stderr.write(paint('dim', shownOn(process.stderr, text), process.stderr)));
      return;
    }
    if (process.stdout.isTTY) spinner.clear();
    process.stdout.write(shownOn(process.stdout, text));
  };

const whyEnded = ({ status, error, reason }: TaskOutcome): string =>
  error === undefined
    ? `the task is ${status}${reason === undefined ? '' : ` (${reason})`}`
    : `task failed (${error.code}): ${error.message}`;
