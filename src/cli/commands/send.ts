import { untilAborted } from '../until-aborted.js';
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
import { retryNotice } from '../run.js';
import { defined } from '../../defined.js';

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

/** `ksi send` */
export function register(program: Command): void {
  program
    .command('send')
    .description('Send a message to an agent, and optionally wait for the answer of a managed agent')
    .argument('<to>', 'the agent; `-` for none, with BROADCAST or TASK_ASSIGNMENT')
    .argument('[text...]', 'the text (default: read from stdin)')
    .option('--from <agent>', 'your agent that sends it (default: you)')
    .option('--type <type>', 'its type (default: DIRECT_MESSAGE)')
    .option('--conversation <id>', 'the conversation that it belongs to')
    .option('--reply-to <message>', 'the id of the message that it answers')
    .option('--payload <json>', 'additional data; @FILE reads a file', jsonObject)
    .option('--needs <capability...>', 'for a TASK_ASSIGNMENT to `-`: the required capabilities')
    .addOption(
      new Option('--wait [seconds]', `wait for the answer and print it (default: ${DEFAULT_WAIT_S} s)`).argParser(
        positiveNumber,
      ),
    )
    .withExamples(
      'ksi send critic "What do you think?" --wait',
      'ksi send - "Lunch!" --type BROADCAST --from ann',
      'git diff | ksi send reviewer',
    )
    .runs(send);
}

async function send(to: string, words: readonly string[], options: SendOptions): Promise<number> {
  const { from, type, conversation, replyTo, payload, needs, wait } = options;
  const content = words.length > 0 ? words.join(' ') : payload === undefined ? await text(process.stdin) : undefined;
  await using client = clientOf(options);
  const accepted = await client.messages.send(
    {
      ...(to === '-' ? {} : { to }),
      ...defined({
        from,
        type,
        conversation_id: conversation,
        reply_to: replyTo,
        payload,
        required_capabilities: needs,
        content,
      }),
    },
    { onRetry: retryNotice(options) },
  );
  if (wait !== undefined) return await printAnswer(client, accepted, wait === true ? DEFAULT_WAIT_S : wait, options);
  printOne(accepted, () => '', options);
  if (options.output === 'text') say(options, sentence(accepted));
  return EXIT.ok;
}

/** Refusals that are not followed by an answer with an error. */
const UNANSWERED: Readonly<Record<string, string>> = {
  hop_limit: 'too many answers led to it',
};

function sentence({ message_id: id, status, to, copies }: MessageAccepted): string {
  const others = copies.length === 0 ? '' : `, with ${copies.length} ${copies.length === 1 ? 'copy' : 'copies'}`;
  if (to === undefined) return `Sent ${id}${others}.`;
  return status === 'queued' ? `${id} waits for ${to}${others}.` : `Sent ${id} to ${to}${others}.`;
}

/** Prints the answer. An answer to a person is an event to NOBODY; an answer to an agent is addressed to it. */
async function printAnswer(
  client: KsiClient,
  { message_id: id, since, to = '' }: MessageAccepted,
  seconds: number,
  options: SendOptions,
): Promise<number> {
  const { from } = options;
  const subjects = [SUBJECT.agentMessage(from ?? NOBODY, 'DIRECT_MESSAGE'), SUBJECT.agentEvent(to, 'delivered')];
  const signal = AbortSignal.timeout(timerMs(seconds * 1_000));
  const events = client.events({ subjects, since, signal, onRetry: retryNotice(options) });
  for await (const event of untilAborted(events, signal)) {
    if (!('type' in event) || event.type === 'SPAWN_DELTA') continue;
    const data = event.data as Partial<Message> & { refused?: string; message_ids?: string[] };
    const unanswered = data.message_ids?.includes(id) === true ? UNANSWERED[data.refused ?? ''] : undefined;
    if (unanswered !== undefined)
      throw new CliError(`The agent received the message, but it did not become a task: ${unanswered}.`, EXIT.failure);
    if (data.reply_to !== id) continue;
    printOne(data, ({ content = '' }) => `${content}\n`, options);
    if (data.error === undefined) return EXIT.ok;
    throw new CliError(`${(data as InboxMessage).from ?? to} could not answer (${data.error.code})`, EXIT.taskFailed);
  }
  throw new CliError(`No answer within ${seconds} s. It may still arrive: ksi events --since ${since}`, EXIT.timeout);
}
