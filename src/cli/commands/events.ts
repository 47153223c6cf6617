import { once } from 'node:events';
import type { Command } from '../command.js';
import { clientOf } from '../client.js';
import { EXIT } from '../exit.js';
import { type GlobalOptions } from '../options.js';
import { retryNotice, runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly subject: string[];
  readonly since?: string;
}

/** `ksi events`: the cluster's events, one JSON line each. */
export function register(program: Command): void {
  program
    .command('events')
    .description('Follow events, one JSON object a line, until Ctrl-C')
    .option(
      '--subject <pattern>',
      'only what matches; may be given again. `*` one token, `>` the rest',
      (pattern: string, sofar: string[]) => [...sofar, pattern],
      [],
    )
    .option(
      '--since <cursor>',
      '`cursor` of the last event seen: what came after it is printed first; 0: from the beginning',
    )
    .withExamples(
      "ksi events --subject 'ksi.events.task.*.state.*'",
      'ksi events --since 0 | jq -r .type',
      "ksi events --subject 'ksi.live.>'",
    )
    .action((_options: unknown, command: Command) => runCommand(() => follow(command.optsWithGlobals<Options>())));
}

async function follow(options: Options): Promise<number> {
  await using client = clientOf(options);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  for await (const message of client.events({
    ...(options.subject.length === 0 ? {} : { subjects: options.subject }),
    since: options.since,
    signal: stop.signal,
    onRetry: retryNotice(options),
  })) {
    // A reader that is slow is waited for; the cluster keeps what it has not read.
    if (options.output === 'none') continue;
    if (!process.stdout.write(`${JSON.stringify(message)}\n`)) await once(process.stdout, 'drain');
  }
  return EXIT.ok;
}
