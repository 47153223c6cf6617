import type { ConversationRecord, Line, Turn } from '../../contracts/conversations/conversations.js';
import { MODERATOR, MODES } from './modes.js';

type ConversationFacts = Pick<ConversationRecord, 'mode' | 'topic' | 'participants' | 'max_turns' | 'moderated'>;

/** Pure. The text of the message that begins a turn. The first one also explains the conversation to the agent. */
export function turnPrompt(conversation: ConversationFacts, turn: Turn, lines: readonly Line[]): string {
  const { participants, max_turns: maxTurns } = conversation;
  const participant = participants[turn.participant];
  const first = participant?.turns === 0;
  const unread = lines.filter(({ kind, agent_id: by }) => kind !== 'passed' && by !== participant?.agent_id);
  return [
    ...(first ? [introduction(conversation, turn.participant)] : []),
    ...(unread.length === 0 ? [] : [first ? 'So far:' : 'Since your last turn:', ...unread.map(lineText)]),
    `It is your turn, ${participant?.name ?? ''} (turn ${turn.turn} of at most ${maxTurns}).`,
  ].join('\n\n');
}

function introduction({ mode, topic, participants, moderated }: ConversationFacts, index: number): string {
  const { aim, tasks } = MODES[mode];
  const me = participants[index];
  const isModerator = moderated && index === participants.length - 1;
  const others = participants.filter((_, at) => at !== index).map(({ name, part }) => `${name} (${part})`);
  const task = isModerator
    ? 'You moderate: after each round, summarise the positions and say which question comes next. You may choose the next speaker with [NEXT: name], and end the conversation with [END].'
    : (tasks[me?.part ?? ''] ?? '');
  return [
    aim,
    `The topic:\n${topic}`,
    `You are ${me?.name ?? ''} (${me?.part ?? MODERATOR}). ${task} The others: ${others.join(', ')}. They read your answers, and nothing else.`,
    ...(isModerator
      ? []
      : [
          'Put [END] at the end of your answer when you have nothing to add after it. Answer only [NO_RESPONSE] to pass this turn.',
        ]),
  ].join('\n\n');
}

const lineText = ({ kind, name, part, text, error }: Line): string => {
  if (kind === 'failed') return `${name} could not answer (${error ?? 'unknown reason'}).`;
  return `${name}${part === undefined ? '' : ` (${part})`} said:\n${text}`;
};
