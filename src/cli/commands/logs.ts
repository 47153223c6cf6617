import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import type { EventEnvelope } from '../../../contracts/events/events.js';
import { isTaskId } from '../ids.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { eventLine, eventTimes } from '../output/event-line.js';
import { printLines, printOne } from '../output/print.js';
import { shorten } from '../output/table.js';
import { retryNotice } from '../run.js';

interface Options extends GlobalOptions {
  readonly follow?: true;
  readonly lines: number;
}

const DEFAULT_LINES = 50;

/** `ksi logs` */
export function register(program: Command): void {
  program
    .command('logs')
    .description("Show a task's events, or the logs of the cluster's processes")
    .argument('[names...]', 'a task’s id, or process names as in `ksi status` (default: all processes)')
    .option('-f, --follow', 'continue with new entries, until the task’s outcome or Ctrl-C')
    .option('-n, --lines <count>', 'how many of the last lines of each process to show', wholeNumber(0), DEFAULT_LINES)
    .withValues({ names: 'tasks' })
    .withExamples('ksi logs ID', 'ksi logs -f ID', 'ksi logs -f worker-1')
    .runs(async (names: string[], options: Options) => {
      const [id] = names;
      if (names.length === 1 && id !== undefined && isTaskId(id)) return showTask(id, options);
      const { showProcessLogs } = await import('../process-logs.js');
      return showProcessLogs(names, options);
    });
}

async function showTask(id: string, options: Options): Promise<void> {
  await using client = clientOf(options);
  const when = eventTimes(options);
  const line = (event: EventEnvelope): string => fitted(eventLine(event, when(event.timestamp)));
  if (options.follow === true) {
    for await (const event of client.tasks.events(id, { onRetry: retryNotice(options) }))
      printOne(event, (each) => `${line(each)}\n`, options);
    return;
  }
  const events: EventEnvelope[] = [];
  for await (const event of client.tasks.pastEvents(id)) events.push(event);
  printLines(events, line, options);
}

const fitted = (line: string): string => (process.stdout.isTTY ? shorten(line, process.stdout.columns) : line);
