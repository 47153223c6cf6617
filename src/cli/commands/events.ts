import type { KsiClient } from '../../client/client.js';
import { once } from 'node:events';
import type { Command } from '../command.js';
import { type GlobalOptions } from '../options.js';
import { untilAborted } from '../until-aborted.js';
import { retryNotice } from '../run.js';
import { jsonLine } from '../output/printable.js';

interface Options extends GlobalOptions {
  readonly subject: string[];
  readonly since?: string;
}

/** `ksi events` */
export function register(program: Command): void {
  program
    .command('events')
    .description('Print events as JSON lines until Ctrl-C')
    .option(
      '--subject <pattern>',
      'only events on matching subjects; repeatable. `*` matches one token, `>` the rest',
      (pattern: string, sofar: string[]) => [...sofar, pattern],
      [],
    )
    .option('--since <cursor>', 'start after this `cursor`, that of the last event seen; 0: from the beginning')
    .withExamples(
      "ksi events --subject 'ksi.events.task.*.state.*'",
      'ksi events --since 0 | jq -r .type',
      "ksi events --subject 'ksi.live.>'",
    )
    .calls(follow);
}

async function follow(client: KsiClient, options: Options): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const events = client.events({
    ...(options.subject.length === 0 ? {} : { subjects: options.subject }),
    since: options.since,
    signal: stop.signal,
    onRetry: retryNotice(options),
  });
  for await (const message of untilAborted(events, stop.signal)) {
    // Wait for a slow reader. The cluster keeps the unread events.
    if (options.output === 'none') continue;
    if (!process.stdout.write(jsonLine(message))) await once(process.stdout, 'drain');
  }
}
