import type { Command } from '../command.js';
import type { EventEnvelope } from '../../../contracts/events.js';
import { UUID_PATTERN } from '../../../contracts/names.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { EXIT } from '../exit.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { eventLine } from '../output/event-line.js';
import { shorten } from '../output/table.js';
import { retryNotice, runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly follow?: true;
  readonly lines: number;
}

const UUID = new RegExp(UUID_PATTERN);
const DEFAULT_WIDTH = 160;
const DEFAULT_LINES = 50;

/** `ksi logs`: a task's events by its id, else what the cluster's processes log. */
export function register(program: Command): void {
  program
    .command('logs')
    .description("Show a task's events, or the logs of the cluster's processes")
    .argument('[names...]', 'a task’s id, or names of processes as in `ksi status`; all processes when left out')
    .option('-f, --follow', 'go on with what comes: to a task’s outcome, or until Ctrl-C')
    .option('-n, --lines <count>', 'last lines of each process to show', wholeNumber(0), DEFAULT_LINES)
    .withExamples('ksi logs -f ID', 'ksi logs -f worker-1')
    .action((names: string[], _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<Options>();
        const [id] = names;
        if (names.length === 1 && id !== undefined && UUID.test(id)) return showTask(id, options);
        const { showProcessLogs } = await import('../process-logs.js');
        return showProcessLogs(names, options);
      }),
    );
}

async function showTask(id: string, options: Options): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const write = (event: EventEnvelope): void =>
    void process.stdout.write(`${options.output === 'text' ? line(event) : JSON.stringify(event)}\n`);
  if (options.follow === true)
    for await (const event of client.tasks.events(id, { onRetry: retryNotice() })) write(event);
  else {
    const events: EventEnvelope[] = [];
    for await (const event of client.tasks.pastEvents(id)) events.push(event);
    if (options.output === 'json') process.stdout.write(`${JSON.stringify(events)}\n`);
    else for (const event of events) write(event);
  }
  return EXIT.ok;
}

function line(event: EventEnvelope): string {
  const text = eventLine(event);
  return process.stdout.isTTY ? shorten(text, process.stdout.columns ?? DEFAULT_WIDTH) : text;
}
