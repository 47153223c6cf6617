import type { Conversation } from '../../../contracts/conversations/conversations.js';
import type { KsiClient } from '../../client/client.js';
import type { ConversationEvent, ConversationHandle } from '../../client/conversation-handle.js';
import { confirmed, isTerminal } from '../confirm.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { paint } from '../output/colour.js';
import { jsonLine, shownOn } from '../output/printable.js';
import { say } from '../output/say.js';
import { Spinner } from '../output/spinner.js';
import { retryNotice } from '../run.js';
import { lineText } from './line.js';

/**
 * Prints a conversation live until it ends. Ctrl-C asks whether to end the conversation; by default it continues.
 * @returns the exit code.
 */
export async function followConversation(
  client: KsiClient,
  talk: ConversationHandle,
  options: GlobalOptions,
): Promise<number> {
  const { output } = options;
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt);
  using spinner = new Spinner(process.stderr, output === 'text' && options.quiet !== true);
  try {
    spinner.show('starting');
    for await (const event of talk.events({ signal: stop.signal, onRetry: retryNotice(options) })) {
      if (process.stdout.isTTY) spinner.clear();
      if (output === 'jsonl') process.stdout.write(jsonLine(event));
      else if (output === 'text') show(event);
      if (event.type !== 'CONVERSATION_ENDED') spinner.show('talking');
    }
    spinner.clear();
    if (!stop.signal.aborted) return ended(await talk.get(), options);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
  return await interrupted(client, talk, options);
}

function show(event: ConversationEvent): void {
  if (event.type !== 'CONVERSATION_TURN' && event.type !== 'CONVERSATION_SAID') return;
  const { head, body } = lineText(event.data);
  const printable = (text: string): string => shownOn(process.stdout, text);
  process.stdout.write(`${paint('bold', printable(head), process.stdout)} ${printable(body)}\n\n`);
}

function ended(conversation: Conversation, options: GlobalOptions): number {
  const { status, reason, error: why, turns, cost_usd: cost } = conversation;
  if (options.output === 'json') process.stdout.write(jsonLine(conversation));
  const because = reason === undefined ? '' : ` (${reason}${why === undefined ? '' : `: ${why}`})`;
  say(
    options,
    shownOn(process.stderr, `The conversation is ${status}${because} after ${turns} turns and $${cost.toFixed(4)}.`),
  );
  return reason === 'failed' ? EXIT.taskFailed : EXIT.ok;
}

async function interrupted(client: KsiClient, { id }: ConversationHandle, options: GlobalOptions): Promise<number> {
  const terminal = { input: process.stdin, output: process.stderr };
  const ask = options.noInput !== true && isTerminal(terminal);
  process.stderr.write('\n');
  if (ask && (await confirmed('End the conversation?', terminal))) {
    ended(await client.conversations.end(id), options);
    return EXIT.interrupted;
  }
  process.stderr.write(
    `The conversation continues. Follow it with: ksi conversations follow ${id}\nEnd it with: ksi conversations end ${id}\n`,
  );
  return EXIT.interrupted;
}
