import type { ConversationMode } from '../../contracts/wire/choices.js';

/** The rules of a mode. */
export interface Mode {
  readonly minParticipants: number;
  readonly maxParticipants: number;
  /** The participants' parts in order. All further participants have the last part. */
  readonly parts: readonly [string, ...string[]];
  /**
   * The speaking order. `round`: one after the other. `first`: the first participant alternates with the others.
   * `two`: the first two, then one of the others.
   */
  readonly order: 'round' | 'first' | 'two';
  /**
   * When [END] signals end the conversation. `all`: when all participants have ended; the last one has one more turn. `pair`: when fewer
   * than two are active. `first`: when the first has ended, or all others have.
   */
  readonly ends: 'all' | 'pair' | 'first';
  /** An explanation for all participants. */
  readonly aim: string;
  /** The instructions for each part. */
  readonly tasks: Readonly<Record<string, string>>;
}

export const MODES: Readonly<Record<ConversationMode, Mode>> = {
  debate: {
    minParticipants: 2,
    maxParticipants: 4,
    parts: ['for', 'against', 'third view', 'fourth view'],
    order: 'round',
    ends: 'all',
    aim: 'This is a debate. Argue to the point, answer the arguments of the others, and concede what is right.',
    tasks: {
      for: 'You argue for the proposition.',
      against: 'You argue against the proposition.',
      'third view': 'You argue for a third view, neither simply for nor against.',
      'fourth view': 'You argue for a fourth view that differs from all others.',
    },
  },
  collaboration: {
    minParticipants: 2,
    maxParticipants: 8,
    parts: ['collaborator'],
    order: 'round',
    ends: 'pair',
    aim: 'You work together on one result. Build on the contributions of the others, and name what is missing.',
    tasks: { collaborator: 'Improve the shared result with each turn.' },
  },
  teaching: {
    minParticipants: 2,
    maxParticipants: 8,
    parts: ['teacher', 'learner'],
    order: 'first',
    ends: 'first',
    aim: 'This is a lesson: one participant teaches, the others learn.',
    tasks: {
      teacher: 'You teach: explain in small steps, ask questions, and answer questions until the topic is understood.',
      learner: 'You learn: ask what you do not understand, and answer what you are asked.',
    },
  },
  brainstorm: {
    minParticipants: 2,
    maxParticipants: 8,
    parts: ['creator', 'creator', 'critic'],
    order: 'two',
    ends: 'pair',
    aim: 'This is a brainstorm: collect many ideas first, then assess them.',
    tasks: {
      creator: 'You create: propose new ideas, and develop the ideas of others.',
      critic: 'You criticise: say which ideas hold, which do not, and why.',
    },
  },
  analysis: {
    minParticipants: 2,
    maxParticipants: 8,
    parts: ['analyst', 'researcher'],
    order: 'first',
    ends: 'first',
    aim: 'This is an analysis: an analyst asks questions and draws conclusions, and researchers find answers.',
    tasks: {
      analyst: 'You analyse: ask for the facts you need, judge the findings, and draw conclusions.',
      researcher: 'You research: find the answers, and say how certain they are.',
    },
  },
};

export const MODERATOR = 'moderator';

/** The part of the participant at this index. */
export const partOf = ({ parts }: Mode, index: number): string => parts[Math.min(index, parts.length - 1)] ?? parts[0];

/** The indexes of `count` participants in their speaking order, for one round. */
export function speakingOrder({ order }: Mode, count: number): readonly number[] {
  const from = (start: number): number[] => Array.from({ length: Math.max(0, count - start) }, (_, n) => n + start);
  if (order === 'first') return from(1).flatMap((other) => [0, other]);
  if (order === 'two' && count > 2) return from(2).flatMap((other) => [0, 1, other]);
  return from(0);
}
