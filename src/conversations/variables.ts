import type { PromptContext } from '../../contracts/prompts/compositions.js';
import type { ConversationRecord } from '../../contracts/conversations/conversations.js';

const MOST_TITLE_CHARS = 200;

/** What the compositions of conversations may use of a conversation, for the prompt of the agent that is made for this place. Pure. */
export function variablesFor(
  { topic, speakers, moderated, max_turns: most }: ConversationRecord,
  place: number,
): PromptContext {
  const others = speakers.filter((_, at) => at !== place);
  return {
    // The whole of it comes with the first turn.
    topic: titleOf(topic),
    agent_number: place + 1,
    participants: others.map(({ name, part }) => `${name} (${part})`).join(', '),
    max_turns: most,
    ...(moderated ? { moderator: speakers.at(-1)?.agent_id ?? '' } : {}),
  };
}

function titleOf(topic: string): string {
  const line = topic.trim().split('\n', 1)[0] ?? '';
  return line.length <= MOST_TITLE_CHARS ? line : `${line.slice(0, MOST_TITLE_CHARS)}…`;
}
