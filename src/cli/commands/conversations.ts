import type { KsiClient } from '../../client/client.js';
import { Option } from 'commander';
import { CONVERSATION_STATUSES } from '../../../contracts/wire/choices.js';
import type { Conversation, ConversationsQuery, Participant } from '../../../contracts/conversations/conversations.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { followConversation } from '../conversation/follow.js';
import { CliError, EXIT } from '../exit.js';
import { conversationId } from '../ids.js';
import { listed, withWatch, type ListOptions } from '../list.js';
import { wholeNumber, type GlobalOptions } from '../options.js';
import { fieldLines } from '../output/fields.js';
import { printOne, type TableOf } from '../output/print.js';
import { say as tell } from '../output/say.js';
import { timesFor, type ShowTime } from '../output/times.js';
import { sayOrRead, withPiped } from '../prompt.js';
import { jsonLine, shownOn } from '../output/printable.js';
import { defined } from '../../defined.js';

interface Listing extends ListOptions {
  readonly limit: number;
  readonly status?: NonNullable<ConversationsQuery['status']>;
}
interface TranscriptOptions extends GlobalOptions {
  readonly json?: true;
}
interface SayOptions extends GlobalOptions {
  readonly name?: string;
  readonly next?: string;
}

const MAX_ITEMS = 500;

/** `ksi conversations` */
export function register(program: Command): void {
  const conversations = program
    .command('conversations')
    .description('List conversations of agents; show, read, follow, pause, resume, join and end them')
    .withExamples(
      'ksi conversations',
      'ksi conversations follow ID',
      'ksi conversations say ID "Mind the cost." --next agent-2',
      'ksi conversations transcript ID | less',
    );
  withWatch(conversations.command('list', { isDefault: true }))
    .description('List conversations, newest first')
    .option('-n, --limit <count>', 'the maximum number', wholeNumber(1, MAX_ITEMS), 20)
    .addOption(new Option('--status <status...>', 'only those').choices([...CONVERSATION_STATUSES]))
    .withExamples('ksi conversations', 'ksi conversations list --status running --watch')
    .calls(list);
  one(conversations, 'show', 'Show the participants, whose turn it is, who speaks next, and the cost', show);
  conversations
    .command('transcript')
    .description('Print the transcript as Markdown')
    .argument('<id>', 'its id', conversationId)
    .option('--json', 'as JSON')
    .withValues({ id: 'conversations' })
    .withExamples(
      'ksi conversations transcript ID | less',
      "ksi conversations transcript --json ID | jq '.lines[].text'",
    )
    .calls(transcript);
  one(
    conversations,
    'follow',
    'Print the transcript, and further lines until the conversation ends',
    (client, id, options) => followConversation(client, client.conversations.handle(id), options),
  );
  one(conversations, 'pause', 'Begin no further turns until `resume`; the current turn continues', steer('pause'));
  one(conversations, 'resume', 'Continue a paused conversation', steer('resume'));
  one(conversations, 'end', 'End a conversation and cancel the current turn', steer('end'));
  conversations
    .command('say')
    .description('Add a line, which the agents read at their next turns')
    .argument('<id>', 'its id', conversationId)
    .argument('[text...]', 'the line; `-` stands for the piped text')
    .option('--name <name>', 'the name that the agents see (person)')
    .option('--next <name>', 'the participant who speaks next')
    .withValues({ id: 'conversations' })
    .withExamples('ksi conversations say ID "Mind the cost."', 'ksi conversations say ID --next agent-2 "Is that so?"')
    .runs(say);
}

type OnOne = (client: KsiClient, id: string, options: GlobalOptions) => Promise<number | void>;

const one = (group: Command, name: string, description: string, run: OnOne): void => {
  group
    .command(name)
    .description(description)
    .argument('<id>', 'its id', conversationId)
    .withValues({ id: 'conversations' })
    .withExamples(`ksi conversations ${name} ID`)
    .calls(run);
};

const list = listed((client, { limit, status }: Listing) => ({
  load: async (signal) => (await client.conversations.list({ limit, ...defined({ status }) }, { signal })).items,
  key: ({ conversation_id: id }) => id,
  table,
  empty: 'No conversations. Start one: ksi orchestrate "Tabs or spaces?" --agents 3',
  subjects: ['ksi.events.conversation.>'],
}));

const table = (when: ShowTime): TableOf<Conversation> => ({
  head: ['CONVERSATION', 'MODE', 'STATUS', 'TURNS', 'COST', 'STARTED', 'TOPIC'],
  row: ({
    conversation_id: id,
    mode,
    status,
    reason,
    turns,
    max_turns: most,
    cost_usd: cost,
    created_at: at,
    topic,
  }) => [
    id,
    mode,
    reason === undefined ? status : `${status} (${reason})`,
    `${turns}/${most}`,
    `$${cost.toFixed(2)}`,
    when(at),
    topic,
  ],
});

async function show(client: KsiClient, id: string, options: GlobalOptions): Promise<void> {
  printOne(await client.conversations.get(id), (conversation) => described(conversation, timesFor(options)), options);
}

function described({ participants, moderator, speaking, ...facts }: Conversation, when: ShowTime): string {
  const speakers = [...participants, ...(moderator === undefined ? [] : [moderator])];
  return fieldLines(
    {
      ...facts,
      ...(facts.ended_at === undefined ? {} : { ends_by: undefined }),
      ...(speaking === undefined ? {} : { speaking: `${speaking.name}, turn ${speaking.turn}` }),
      ...Object.fromEntries(speakers.map((speaker) => [speaker.name, speakerText(speaker)])),
    },
    when,
  );
}

const speakerText = ({ part, agent_id: id, turns, ended }: Participant): string =>
  `${part}, agent ${id}, ${turns} turns${ended === undefined ? '' : `, ended (${ended})`}`;

async function transcript(client: KsiClient, id: string, options: TranscriptOptions): Promise<void> {
  if (options.output === 'none') return;
  const { json, output } = options;
  if (json === true || output === 'json') process.stdout.write(jsonLine(await client.conversations.transcript(id)));
  else if (output === 'jsonl')
    for (const line of (await client.conversations.transcript(id)).lines) process.stdout.write(jsonLine(line));
  else process.stdout.write(shownOn(process.stdout, await client.conversations.markdown(id)));
}

const steer =
  (verb: 'pause' | 'resume' | 'end'): OnOne =>
  async (client, id, options) =>
    printOne(await client.conversations[verb](id), ({ status }) => `${id}  ${status}\n`, options);

async function say(id: string, words: readonly string[], options: SayOptions): Promise<void> {
  const { words: typed, piped } = await sayOrRead(words, options);
  const text = withPiped(typed, piped);
  if (text.trim() === '')
    throw new CliError('The line is empty. Pass its text: ksi conversations say ID "…"', EXIT.usage);
  const { name, next } = options;
  await using client = clientOf(options);
  const added = await client.conversations.say(id, {
    text,
    message_id: crypto.randomUUID(),
    ...defined({ name, next }),
  });
  if (options.output === 'text')
    tell(options, added.next === undefined ? 'Line added.' : `Line added. ${added.next} is next.`);
  else printOne(added, () => '', options);
}
