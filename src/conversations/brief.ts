import type { ConversationRecord, Floor, Line } from '../../contracts/conversations/conversations.js';
import { MODERATOR, MODES } from './modes.js';

type Told = Pick<ConversationRecord, 'mode' | 'topic' | 'speakers' | 'max_turns' | 'moderated'>;

/** What an agent is told with the word: at its first turn also what this is about. Pure. */
export function turnText(conversation: Told, floor: Floor, said: readonly Line[]): string {
  const { speakers, max_turns: most } = conversation;
  const speaker = speakers[floor.speaker];
  const first = speaker?.turns === 0;
  const heard = said.filter(({ kind, agent_id: by }) => kind !== 'passed' && by !== speaker?.agent_id);
  return [
    ...(first ? [brief(conversation, floor.speaker)] : []),
    ...(heard.length === 0 ? [] : [first ? 'So far:' : 'Since your last turn:', ...heard.map(lineText)]),
    `You have the word, ${speaker?.name ?? ''} (turn ${floor.turn} of ${most} at the most).`,
  ].join('\n\n');
}

function brief({ mode, topic, speakers, moderated }: Told, at: number): string {
  const { aim, tasks } = MODES[mode];
  const me = speakers[at];
  const moderates = moderated && at === speakers.length - 1;
  const others = speakers.filter((_, place) => place !== at).map(({ name, part }) => `${name} (${part})`);
  const task = moderates
    ? 'You moderate: after each round you sum up where they stand and say what to turn to. You may name who is next, by [NEXT: name], and end the conversation, by [END].'
    : (tasks[me?.part ?? ''] ?? '');
  return [
    aim,
    `The topic:\n${topic}`,
    `You are ${me?.name ?? ''} (${me?.part ?? MODERATOR}). ${task} The others: ${others.join(', ')}. They read what you answer, and nothing else.`,
    ...(moderates
      ? []
      : [
          'Put [END] at the end of your answer when you have nothing more to say after it, and answer [NO_RESPONSE] alone to let this turn pass.',
        ]),
  ].join('\n\n');
}

const lineText = ({ kind, name, part, text, error }: Line): string => {
  if (kind === 'failed') return `${name} could not answer (${error ?? 'no reason is known'}).`;
  return `${name}${part === undefined ? '' : ` (${part})`} said:\n${text}`;
};
