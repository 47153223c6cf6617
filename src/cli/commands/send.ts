import { text } from 'node:stream/consumers';
import { Option } from 'commander';
import type { Command } from '../command.js';
import type { InboxMessage, Message, MessageAccepted } from '../../../contracts/agents/messages.js';
import { SUBJECT, NOBODY } from '../../../contracts/wire/names.js';
import { timerMs } from '../../clock.js';
import type { KsiClient } from '../../client/client.js';
import { jsonObject } from '../claude-options.js';
import { clientOf } from '../client.js';
import { CliError, EXIT } from '../exit.js';
import { positiveNumber, type GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say } from '../output/say.js';
import { retryNotice, runCommand } from '../run.js';

interface SendOptions extends GlobalOptions {
  readonly from?: string;
  readonly type?: string;
  readonly conversation?: string;
  readonly replyTo?: string;
  readonly payload?: Record<string, unknown>;
  readonly needs?: string[];
  readonly wait?: number | true;
}

const DEFAULT_WAIT_S = 600;

/** `ksi send`: a message to an agent, to all that subscribe to its type, or to whom a task fits best. */
export function register(program: Command): void {
  program
    .command('send')
    .description('Send a message to an agent; the answer of a managed one can be waited for')
    .argument('<to>', 'the agent; `-`: nobody in particular, as for BROADCAST or a TASK_ASSIGNMENT')
    .argument('[text...]', 'what is said; without it stdin is read')
    .option('--from <agent>', 'the agent of yours that says it; default: you')
    .option('--type <type>', 'its type; default: DIRECT_MESSAGE')
    .option('--conversation <id>', 'the conversation that it belongs to')
    .option('--reply-to <message>', 'the id of the message that it answers')
    .option('--payload <json>', 'anything else; @FILE reads it', jsonObject)
    .option('--needs <capability...>', 'of a TASK_ASSIGNMENT to nobody in particular: what the agent must have one of')
    .addOption(
      new Option(
        '--wait [seconds]',
        `print the answer to it, if it comes within ${DEFAULT_WAIT_S} s or the time given`,
      ).argParser(positiveNumber),
    )
    .withExamples(
      'ksi send critic "What do you think?" --wait',
      'ksi send - "Lunch!" --type BROADCAST --from ann',
      'git diff | ksi send reviewer',
    )
    .action((to: string, words: string[], _options: unknown, command: Command) =>
      runCommand(() => send(to, words, command.optsWithGlobals<SendOptions>())),
    );
}

async function send(to: string, words: readonly string[], options: SendOptions): Promise<number> {
  const { from, type, conversation, replyTo, payload, needs, wait } = options;
  const content = words.length > 0 ? words.join(' ') : payload === undefined ? await text(process.stdin) : undefined;
  await using client = clientOf(options);
  const accepted = await client.messages.send(
    {
      ...(to === '-' ? {} : { to }),
      ...(from === undefined ? {} : { from }),
      ...(type === undefined ? {} : { type }),
      ...(conversation === undefined ? {} : { conversation_id: conversation }),
      ...(replyTo === undefined ? {} : { reply_to: replyTo }),
      ...(payload === undefined ? {} : { payload }),
      ...(needs === undefined ? {} : { required_capabilities: needs }),
      ...(content === undefined ? {} : { content }),
    },
    { onRetry: retryNotice(options) },
  );
  if (wait !== undefined) return await printAnswer(client, accepted, wait === true ? DEFAULT_WAIT_S : wait, options);
  printOne(accepted, () => '', options);
  if (options.output === 'text') say(options, sentence(accepted));
  return EXIT.ok;
}

/** Refusals that no answer with an error follows. */
const UNANSWERED: Readonly<Record<string, string>> = {
  hop_limit: 'too many answers led to it.',
};

function sentence({ message_id: id, status, to, copies }: MessageAccepted): string {
  const others = copies.length === 0 ? '' : `, with ${copies.length} ${copies.length === 1 ? 'copy' : 'copies'}`;
  if (to === undefined) return `Sent ${id}${others}.`;
  return status === 'queued' ? `${id} waits for ${to}${others}.` : `Sent ${id} to ${to}${others}.`;
}

/** What answers it: to a person an event to nobody, to an agent of his one to it. */
async function printAnswer(
  client: KsiClient,
  { message_id: id, since, to = '' }: MessageAccepted,
  seconds: number,
  options: SendOptions,
): Promise<number> {
  const { from } = options;
  const subjects = [SUBJECT.agentMessage(from ?? NOBODY, 'DIRECT_MESSAGE'), SUBJECT.agentEvent(to, 'delivered')];
  const signal = AbortSignal.timeout(timerMs(seconds * 1_000));
  for await (const event of client.events({ subjects, since, signal, onRetry: retryNotice(options) })) {
    if (!('type' in event) || event.type === 'SPAWN_DELTA') continue;
    const data = event.data as Partial<Message> & { refused?: string; message_ids?: string[] };
    const unanswered = data.message_ids?.includes(id) === true ? UNANSWERED[data.refused ?? ''] : undefined;
    if (unanswered !== undefined)
      throw new CliError(`It was taken, and no task was made of it: ${unanswered}`, EXIT.failure);
    if (data.reply_to !== id) continue;
    printOne(data, ({ content = '' }) => `${content}\n`, options);
    if (data.error === undefined) return EXIT.ok;
    throw new CliError(`${(data as InboxMessage).from ?? to} could not answer (${data.error.code})`, EXIT.taskFailed);
  }
  throw new CliError(`No answer within ${seconds} s; it may still come: ksi events --since ${since}`, EXIT.timeout);
}
