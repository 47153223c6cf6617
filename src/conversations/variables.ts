import type { PromptContext } from '../../contracts/prompts/compositions.js';
import type { ConversationRecord } from '../../contracts/conversations/conversations.js';

const MAX_TITLE_CHARS = 200;

/** Pure. The variables of the `conversation_…` compositions, for the agent of the participant at this index. */
export function variablesFor(
  { topic, participants, moderated, max_turns: maxTurns }: ConversationRecord,
  index: number,
): PromptContext {
  const others = participants.filter((_, at) => at !== index);
  return {
    // The message of the agent's first turn contains the whole topic.
    topic: titleOf(topic),
    agent_number: index + 1,
    participants: others.map(({ name, part }) => `${name} (${part})`).join(', '),
    max_turns: maxTurns,
    ...(moderated ? { moderator: participants.at(-1)?.agent_id ?? '' } : {}),
  };
}

function titleOf(topic: string): string {
  const line = topic.trim().split('\n', 1)[0] ?? '';
  return line.length <= MAX_TITLE_CHARS ? line : `${line.slice(0, MAX_TITLE_CHARS)}…`;
}
