import { LastSession } from '../chat/last-session.js';
import { claudeOptionsOf, withConversationOptions, type ClaudeCliOptions } from '../claude-options.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { CliError, EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { say } from '../output/say.js';
import { localCluster, repositoryOf, workspaceFor } from '../roots.js';
import { defined } from '../../defined.js';

interface Options extends GlobalOptions, ClaudeCliOptions {
  readonly session?: string;
  readonly new?: true;
  /** `--no-here` is false. */
  readonly here?: boolean;
  readonly queue?: string;
}

/** `ksi chat` */
export function register(program: Command): void {
  const command = program
    .command('chat')
    .description('Talk to Claude on this terminal, in the last session of this folder')
    .option('-s, --session <session>', 'another session: its UUID or name')
    .option('--new', 'start a new session')
    .option('--here', 'work in this folder (default for a new session inside a repository of this machine)')
    .option('--no-here', 'start a new session in an empty folder of its own')
    .option('-q, --queue <queue>', 'the queue of its tasks')
    .withValues({ session: 'sessions', queue: 'queues' })
    .withNotes(
      'Approvals are requested and answered in place. Ctrl-C interrupts Claude; a second Ctrl-C leaves. Text typed while Claude works is sent to it at once. `/help` lists the commands. The input history and the last session of each folder are stored below XDG_STATE_HOME (~/.local/state/ksi).',
    )
    .withExamples(
      'ksi chat',
      'ksi chat --session notes',
      'ksi chat --new --workspace website --allowed-tools "Read,Edit"',
    );
  withConversationOptions(command).runs(chat);
}

async function chat(options: Options): Promise<number> {
  if (options.noInput === true || !process.stdin.isTTY || !process.stdout.isTTY)
    throw new CliError(
      'A chat needs an interactive terminal. Without one, use: ksi spawn --session NAME "…"',
      EXIT.usage,
    );
  if (options.new === true && options.session !== undefined)
    throw new CliError('Use either --session or --new, not both.', EXIT.usage);
  const { Chat } = await import('../chat/chat.js');
  const { History } = await import('../chat/history.js');
  await using client = clientOf(options);
  const last = new LastSession(process.env, process.cwd(), client.url);
  const session = options.session ?? (options.new === true ? undefined : last.get());
  const workspace = await workspaceOf(session, options);
  if (workspace !== undefined) say(options, `Claude works in ${workspace}.`);
  return await new Chat({
    client,
    request: {
      ...claudeOptionsOf(options),
      ...defined({ queue: options.queue, workspace }),
      approvals: true,
    },
    session,
    remember: (session) => last.set(session),
    history: new History(process.env),
    cwd: process.cwd(),
    input: process.stdin,
    output: process.stdout,
  }).run();
}

/** A new session inside a repository works there, if the operator agrees. */
async function workspaceOf(session: string | undefined, options: Options): Promise<string | undefined> {
  const { workspace, here } = options;
  if (workspace !== undefined || here === false) return workspace;
  if (here === true) return workspaceFor(process.cwd(), options);
  if (session !== undefined || localCluster(options) === undefined) return undefined;
  return repositoryOf(process.cwd()) === undefined ? undefined : workspaceFor(process.cwd(), options);
}
