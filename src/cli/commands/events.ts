import type { Command } from 'commander';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { EXIT } from '../exit.js';
import { withClientOptions, type ClientOptions } from '../options.js';
import { runCommand } from '../run.js';

interface Options extends ClientOptions {
  readonly subject: string[];
  readonly since?: string;
}

/** `ksi events`: the cluster's events, one JSON line each. */
export function register(program: Command): void {
  const command = program
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
    .addHelpText(
      'after',
      "\nExamples:\n  $ ksi events --subject 'ksi.events.task.*.state.*'\n  $ ksi events --since 0 | jq -r .type\n  $ ksi events --subject 'ksi.live.>'",
    );
  withClientOptions(command).action((options: Options) => runCommand(() => follow(options)));
}

async function follow(options: Options): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  for await (const message of client.events({
    subjects: options.subject,
    since: options.since,
    signal: stop.signal,
  })) {
    process.stdout.write(`${JSON.stringify(message)}\n`);
  }
  return EXIT.ok;
}
