import type { Command } from '../command.js';
import type { EventEnvelope } from '../../../contracts/events/events.js';
import { clientOf } from '../client.js';
import { EXIT } from '../exit.js';
import { isTaskId } from '../ids.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { eventLine, eventTimes } from '../output/event-line.js';
import { printLines, printOne } from '../output/print.js';
import { shorten } from '../output/table.js';
import { retryNotice, runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly follow?: true;
  readonly lines: number;
}

const DEFAULT_LINES = 50;

/** `ksi logs`: a task's events by its id, else what the cluster's processes log. */
export function register(program: Command): void {
  program
    .command('logs')
    .description("Show a task's events, or the logs of the cluster's processes")
    .argument('[names...]', 'a task’s id, or names of processes as in `ksi status`; all processes when left out')
    .option('-f, --follow', 'go on with what comes: to a task’s outcome, or until Ctrl-C')
    .option('-n, --lines <count>', 'last lines of each process to show', wholeNumber(0), DEFAULT_LINES)
    .withValues({ names: 'tasks' })
    .withExamples('ksi logs ID', 'ksi logs -f ID', 'ksi logs -f worker-1')
    .action((names: string[], _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<Options>();
        const [id] = names;
        if (names.length === 1 && id !== undefined && isTaskId(id)) return showTask(id, options);
        const { showProcessLogs } = await import('../process-logs.js');
        return showProcessLogs(names, options);
      }),
    );
}

async function showTask(id: string, options: Options): Promise<number> {
  await using client = clientOf(options);
  const when = eventTimes(options);
  const line = (event: EventEnvelope): string => fitted(eventLine(event, when(event.timestamp)));
  if (options.follow === true) {
    for await (const event of client.tasks.events(id, { onRetry: retryNotice(options) }))
      printOne(event, (each) => `${line(each)}\n`, options);
    return EXIT.ok;
  }
  const events: EventEnvelope[] = [];
  for await (const event of client.tasks.pastEvents(id)) events.push(event);
  printLines(events, line, options);
  return EXIT.ok;
}

const fitted = (line: string): string => (process.stdout.isTTY ? shorten(line, process.stdout.columns) : line);
