import { LastSession } from '../chat/last-session.js';
import { claudeOptionsOf, withConversationOptions, type ClaudeCliOptions } from '../claude-options.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { CliError, EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { runCommand } from '../run.js';

interface Options extends GlobalOptions, ClaudeCliOptions {
  readonly session?: string;
  readonly new?: true;
  readonly queue?: string;
}

/** `ksi chat`: a conversation on a terminal. */
export function register(program: Command): void {
  const command = program
    .command('chat')
    .description('Talk with Claude on this terminal: goes on with the last session of this folder')
    .option('-s, --session <session>', 'this one: its UUID or a name of yours')
    .option('--new', 'begin a new one')
    .option('-q, --queue <queue>', 'class of work')
    .withValues({ session: 'sessions', queue: 'queues' })
    .withNotes(
      'What needs permission is asked, and answered in place. Ctrl-C interrupts Claude, twice leaves; what is typed while Claude works is said to it at once. `/help` lists what else there is. What was typed, and which session a folder had, is kept below XDG_STATE_HOME (~/.local/state/ksi).',
    )
    .withExamples(
      'ksi chat',
      'ksi chat --session notes',
      'ksi chat --new --workspace website --allowed-tools "Read,Edit"',
    );
  withConversationOptions(command).action((_options: unknown, command: Command) =>
    runCommand(() => chat(command.optsWithGlobals<Options>())),
  );
}

async function chat(options: Options): Promise<number> {
  if (options.noInput === true || !process.stdin.isTTY || !process.stdout.isTTY)
    throw new CliError(
      'A chat needs a terminal, and somebody to ask. Off one: ksi spawn --session NAME "…"',
      EXIT.usage,
    );
  if (options.new === true && options.session !== undefined)
    throw new CliError('Give --session or --new, but not both.', EXIT.usage);
  const { Chat } = await import('../chat/chat.js');
  const { History } = await import('../chat/history.js');
  await using client = clientOf(options);
  const last = new LastSession(process.env, process.cwd(), client.url);
  return await new Chat({
    client,
    request: {
      ...claudeOptionsOf(options),
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      approvals: true,
    },
    session: options.session ?? (options.new === true ? undefined : last.get()),
    remember: (session) => last.set(session),
    history: new History(process.env),
    cwd: process.cwd(),
    input: process.stdin,
    output: process.stdout,
  }).run();
}
