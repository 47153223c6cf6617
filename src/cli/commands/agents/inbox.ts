import type { KsiClient } from '../../../client/client.js';
import type { Command } from '../../command.js';
import type { InboxMessage } from '../../../../contracts/agents/messages.js';
import type { GlobalOptions } from '../../options.js';
import { paint } from '../../output/colour.js';
import { say } from '../../output/say.js';
import { oneLine } from '../../output/table.js';
import { retryNotice } from '../../run.js';
import { jsonLine, shownOn } from '../../output/printable.js';

interface InboxOptions extends GlobalOptions {
  readonly follow?: boolean;
  readonly ack?: boolean;
}

export function register(agents: Command): void {
  agents
    .command('inbox')
    .description("Show an external agent's unacknowledged messages")
    .argument('<id>', 'its id')
    .option('-f, --follow', 'act as its client: show new messages and acknowledge each one')
    .option('--ack', 'acknowledge the messages shown; they are not delivered again')
    .withExamples('ksi agents inbox ann', 'ksi agents inbox ann --follow -o jsonl | jq -r .content')
    .calls(inbox);
}

async function inbox(client: KsiClient, id: string, options: InboxOptions): Promise<void> {
  const ended = new AbortController();
  const reader = client.agents.inbox(id, { signal: ended.signal, onRetry: retryNotice(options) });
  if (options.follow === true) {
    process.once('SIGINT', () => ended.abort());
    for await (const message of reader) show(message, options);
    return;
  }
  const messages = await reader.read();
  if (options.output === 'json') process.stdout.write(jsonLine(messages));
  else for (const message of messages) show(message, options);
  const last = messages.at(-1);
  if (last === undefined) say(options, 'No messages.');
  else if (options.ack === true) await reader.ack(last);
}

/** Prints a message as JSON, or as a header line followed by its text. */
function show(message: InboxMessage, { output }: GlobalOptions): void {
  if (output === 'none') return;
  if (output !== 'text') {
    process.stdout.write(jsonLine(message));
    return;
  }
  const { timestamp, from = 'its owner', type, conversation_id: conversation, content, payload } = message;
  const head = [timestamp, from, type, ...(conversation === undefined ? [] : [conversation])].map(oneLine).join('  ');
  process.stdout.write(`${paint('dim', head, process.stdout)}\n`);
  if (content !== undefined && content !== '') process.stdout.write(`${shownOn(process.stdout, content)}\n`);
  if (payload !== undefined) process.stdout.write(jsonLine(payload));
}
