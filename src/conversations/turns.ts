import type { ConversationRecord, EndReason } from '../../contracts/conversations/conversations.js';
import { cycleOf, MODES } from './modes.js';

/** The places of the participants, the moderator not among them, that may still speak. */
export const alive = ({ speakers, moderated }: Pick<ConversationRecord, 'speakers' | 'moderated'>): number[] =>
  speakers.flatMap(({ ended }, place) =>
    ended === undefined && !(moderated && place === speakers.length - 1) ? [place] : [],
  );

/** Its place among the speakers; undefined: there is none, or it has ended. */
export function moderatorOf({ speakers, moderated }: ConversationRecord): number | undefined {
  const place = speakers.length - 1;
  return moderated && speakers[place]?.ended === undefined ? place : undefined;
}

/** Who has the next word, and the place in the mode's order after it. */
export interface Next {
  readonly speaker: number;
  readonly at: number;
}

/** Pure. @returns undefined when nobody is left. */
export function nextOf(record: ConversationRecord): Next | undefined {
  const { mode, at, last, named, round, speakers, moderated } = record;
  const may = alive(record);
  if (may.length === 0) return undefined;
  if (named !== undefined && may.includes(named)) return { speaker: named, at };
  const moderator = moderatorOf(record);
  if (moderator !== undefined && round >= may.length) return { speaker: moderator, at };
  const cycle = cycleOf(MODES[mode], moderated ? speakers.length - 1 : speakers.length);
  for (let step = 1; step <= cycle.length; step++) {
    const place = (at + step) % cycle.length;
    const speaker = cycle[place];
    // Nobody answers himself as long as there is somebody else.
    if (speaker !== undefined && may.includes(speaker) && (speaker !== last || may.length === 1))
      return { speaker, at: place };
  }
  return undefined;
}

/** Whether it is over before anybody speaks again, and why. Pure. @param now in ms since 1970. */
export function endOf(record: ConversationRecord, now: number): EndReason | undefined {
  return endBySpeakers(record) ?? endByLimits(record, now);
}

function endBySpeakers(record: ConversationRecord): EndReason | undefined {
  const { mode, speakers, moderated, silent, last } = record;
  const may = alive(record);
  const participants = moderated ? speakers.slice(0, -1) : speakers;
  const over = participants.some(({ ended }) => ended === 'failed') ? 'failed' : 'signal';
  const { ends } = MODES[mode];
  if (may.length === 0) return over;
  if (ends === 'first' && !may.includes(0)) return over;
  // In a debate the last one has a last word; if the others did not end by their own will there is nobody to debate with.
  if (may.length < 2 && (ends !== 'all' || over === 'failed' || last === may[0])) return over;
  if (silent >= may.length) return 'silence';
  return undefined;
}

function endByLimits(
  { turns, max_turns, cost_usd, budget_usd, ends_by }: ConversationRecord,
  now: number,
): EndReason | undefined {
  if (turns >= max_turns) return 'turns';
  if (budget_usd !== undefined && cost_usd >= budget_usd) return 'budget';
  return now >= Date.parse(ends_by) ? 'time' : undefined;
}
