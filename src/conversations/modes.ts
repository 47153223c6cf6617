import type { ConversationMode } from '../../contracts/wire/choices.js';

/** What makes a mode. */
export interface Mode {
  readonly least: number;
  readonly most: number;
  /** Of the participants in their order; the last one is that of all further ones. */
  readonly parts: readonly [string, ...string[]];
  /**
   * In which order they speak: `round`: one after the other; `first`: the first and another one by turns;
   * `two`: the first two, and then one of the others.
   */
  readonly order: 'round' | 'first' | 'two';
  /**
   * When their signals end it: `all`: once each has ended, the last one after a last word; `pair`: once fewer than two are left;
   * `first`: once the first has ended, or all the others.
   */
  readonly ends: 'all' | 'pair' | 'first';
  /** What all are told. */
  readonly aim: string;
  /** What those of a part are told. */
  readonly tasks: Readonly<Record<string, string>>;
}

export const MODES: Readonly<Record<ConversationMode, Mode>> = {
  debate: {
    least: 2,
    most: 4,
    parts: ['for', 'against', 'third view', 'fourth view'],
    order: 'round',
    ends: 'all',
    aim: 'This is a debate. Argue to the point, answer what the others have said, and concede what is right.',
    tasks: {
      for: 'You argue for the proposition.',
      against: 'You argue against the proposition.',
      'third view': 'You argue for a third view, neither simply for nor against.',
      'fourth view': 'You argue for a fourth view, other than those of all the others.',
    },
  },
  collaboration: {
    least: 2,
    most: 8,
    parts: ['collaborator'],
    order: 'round',
    ends: 'pair',
    aim: 'You work together on one result. Build on what the others have said, and say what is still missing.',
    tasks: { collaborator: 'Bring the common result a step further with each turn.' },
  },
  teaching: {
    least: 2,
    most: 8,
    parts: ['teacher', 'learner'],
    order: 'first',
    ends: 'first',
    aim: 'This is a lesson: one teaches, the others learn.',
    tasks: {
      teacher: 'You teach: explain in small steps, ask, and answer questions until it is understood.',
      learner: 'You learn: ask what you do not understand, and answer what you are asked.',
    },
  },
  brainstorm: {
    least: 2,
    most: 8,
    parts: ['creator', 'creator', 'critic'],
    order: 'two',
    ends: 'pair',
    aim: 'This is a brainstorm: many ideas first, then what holds of them.',
    tasks: {
      creator: 'You create: new ideas, and ones that grow from those of others.',
      critic: 'You criticise: say what of the ideas holds, what does not, and why.',
    },
  },
  analysis: {
    least: 2,
    most: 8,
    parts: ['analyst', 'researcher'],
    order: 'first',
    ends: 'first',
    aim: 'This is an analysis: an analyst asks and concludes, researchers find out.',
    tasks: {
      analyst: 'You analyse: say what has to be known, judge what was found, and draw the conclusions.',
      researcher: 'You research: find out what is asked for, and say how sure it is.',
    },
  },
};

export const MODERATOR = 'moderator';

/** The part of the participant at this place. */
export const partOf = ({ parts }: Mode, place: number): string => parts[Math.min(place, parts.length - 1)] ?? parts[0];

/** The places of `count` participants in the order in which they speak, once through. */
export function cycleOf({ order }: Mode, count: number): readonly number[] {
  const from = (start: number): number[] => Array.from({ length: Math.max(0, count - start) }, (_, n) => n + start);
  if (order === 'first') return from(1).flatMap((other) => [0, other]);
  if (order === 'two' && count > 2) return from(2).flatMap((other) => [0, 1, other]);
  return from(0);
}
