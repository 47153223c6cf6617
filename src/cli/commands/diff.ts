import type { KsiClient } from '../../client/client.js';
import type { Command } from '../command.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say } from '../output/say.js';
import { sessionOf } from '../session-of.js';

interface DiffOptions extends GlobalOptions {
  readonly base?: string;
}

/** `ksi diff ID` */
export function register(program: Command): void {
  program
    .command('diff')
    .description('Show the uncommitted changes in the working folder of a run')
    .argument('<id>', 'the session’s UUID or name, or a task’s id')
    .option('--base <commit>', 'compare with this commit, branch or tag (default: HEAD)')
    .withValues({ id: 'sessions' })
    .withExamples('ksi diff notes', 'ksi diff TASK --base main | git apply')
    .calls(diff);
}

async function diff(client: KsiClient, id: string, options: DiffOptions): Promise<void> {
  const { base } = options;
  const text = await client.sessions.diff(await sessionOf(client, id, options), base === undefined ? {} : { base });
  printOne({ diff: text }, () => text, options);
  if (text === '') say(options, 'There are no changes.');
}
