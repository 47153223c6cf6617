import { Option } from 'commander';
import {
  CONVERSATION_MODES,
  MAX_PARTICIPANTS,
  MAX_TURNS,
  type ConversationMode,
} from '../../../contracts/wire/choices.js';
import type { ConversationRequest, ParticipantRequest } from '../../../contracts/conversations/conversations.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { followConversation } from '../conversation/follow.js';
import { CliError, EXIT } from '../exit.js';
import { commaList, positiveNumber, wholeNumber, type GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { sayOrRead, withPiped } from '../prompt.js';
import { defined } from '../../defined.js';

interface Options extends GlobalOptions {
  readonly mode: ConversationMode;
  readonly agents?: number;
  readonly participants?: string[];
  readonly profile?: string;
  readonly model?: string;
  readonly moderator?: true;
  readonly moderatedBy?: string;
  readonly maxTurns?: number;
  readonly maxDuration?: number;
  readonly turnTimeout?: number;
  readonly budget?: number;
  readonly keep?: true;
  /** `--no-wait` is false. */
  readonly wait: boolean;
}

/** `ksi orchestrate TOPIC…` */
export function register(program: Command): void {
  program
    .command('orchestrate')
    .description('Start a conversation between agents, and print each line as it is added')
    .argument('[topic...]', 'the topic; `-` stands for the piped text')
    .addOption(
      new Option('--mode <mode>', 'the rules of the conversation').choices([...CONVERSATION_MODES]).default('debate'),
    )
    .option('-a, --agents <count>', 'how many agents to register for it (2)', wholeNumber(2, MAX_PARTICIPANTS))
    .option('--participants <ids>', 'existing agents instead, comma-separated, in the order of their parts', commaList)
    .option('--profile <profile>', 'the profile of the registered agents')
    .option('-m, --model <model>', 'the model of the registered agents')
    .option('--moderator', 'register a moderator, who has a turn after each round and may end the conversation')
    .option('--moderated-by <agent>', 'an existing agent as the moderator')
    .option('--max-turns <count>', 'the limit on the turns of all participants (20)', wholeNumber(1, MAX_TURNS))
    .option('--max-duration <seconds>', 'the limit on the duration (3600)', wholeNumber(1))
    .option('--turn-timeout <seconds>', 'the limit on one turn (900)', wholeNumber(1))
    .option('--budget <usd>', 'the limit on the cost, in US dollars', positiveNumber)
    .option('--keep', 'keep the registered agents')
    .option('--no-wait', 'print its id and return')
    .withNotes(
      'Ctrl-C asks whether to end the conversation. Without a terminal, or at the second Ctrl-C, the conversation continues; see `ksi conversations`.',
    )
    .withExamples(
      'ksi orchestrate "Tabs or spaces?" --agents 3',
      'ksi orchestrate --mode analysis --moderator --budget 2 "Why did the nightly build slow down?"',
      'ksi orchestrate --mode teaching --participants ann,bob "How does a B-tree work?" -o jsonl',
      'git diff | ksi orchestrate --mode brainstorm "What could go wrong with this change?" -',
    )
    .runs(orchestrate);
}

async function orchestrate(words: readonly string[], options: Options): Promise<number> {
  const { words: typed, piped } = await sayOrRead(words, options);
  const topic = withPiped(typed, piped);
  if (topic.trim() === '') throw new CliError('The topic is empty. Pass it: ksi orchestrate "TOPIC"', EXIT.usage);
  await using client = clientOf(options);
  const conversation = await client.conversations.create(requestOf(topic, options));
  if (options.wait) return await followConversation(client, conversation, options);
  printOne(await conversation.get(), ({ conversation_id: id }) => `${id}\n`, options);
  return EXIT.ok;
}

function requestOf(topic: string, options: Options): ConversationRequest {
  const { mode, agents, participants, profile, model, moderatedBy, keep } = options;
  const moderator = moderatedBy === undefined ? options.moderator : existing(moderatedBy);
  const { maxTurns, maxDuration, turnTimeout, budget } = options;
  return {
    conversation_id: crypto.randomUUID(),
    topic,
    mode,
    ...defined({
      agents,
      participants: participants?.map(existing),
      profile,
      options: model === undefined ? undefined : { model },
      moderator,
      max_turns: maxTurns,
      max_duration_s: maxDuration,
      turn_timeout_s: turnTimeout,
      budget_usd: budget,
      keep,
    }),
  };
}

const existing = (agentId: string): ParticipantRequest => ({ agent_id: agentId });
