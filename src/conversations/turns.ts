import type { ConversationRecord, EndReason } from '../../contracts/conversations/conversations.js';
import { MODES, speakingOrder } from './modes.js';

/** The indexes of the participants who may still speak. The moderator is not among them. */
export const activeParticipants = ({
  participants,
  moderated,
}: Pick<ConversationRecord, 'participants' | 'moderated'>): number[] =>
  participants.flatMap(({ ended }, index) =>
    ended === undefined && !(moderated && index === participants.length - 1) ? [index] : [],
  );

/** The moderator's index; undefined if there is none, or if it has ended. */
export function moderatorOf({ participants, moderated }: ConversationRecord): number | undefined {
  const index = participants.length - 1;
  return moderated && participants[index]?.ended === undefined ? index : undefined;
}

/** The participant who has the next turn, and the position in the mode's order after it. */
export interface NextTurn {
  readonly participant: number;
  readonly orderPosition: number;
}

/** Pure. @returns undefined if no participant may speak. */
export function nextTurn(record: ConversationRecord): NextTurn | undefined {
  const { mode, order_position: orderPosition, last, next_speaker, round, participants, moderated } = record;
  const active = activeParticipants(record);
  if (active.length === 0) return undefined;
  if (next_speaker !== undefined && active.includes(next_speaker)) return { participant: next_speaker, orderPosition };
  const moderator = moderatorOf(record);
  if (moderator !== undefined && round >= active.length) return { participant: moderator, orderPosition };
  const order = speakingOrder(MODES[mode], moderated ? participants.length - 1 : participants.length);
  for (let step = 1; step <= order.length; step++) {
    const position = (orderPosition + step) % order.length;
    const participant = order[position];
    // A participant has two turns in succession only if no other one may speak.
    if (participant !== undefined && active.includes(participant) && (participant !== last || active.length === 1))
      return { participant, orderPosition: position };
  }
  return undefined;
}

/** Pure. The reason to end the conversation before the next turn; undefined if it continues. @param now in ms since 1970. */
export function endReason(record: ConversationRecord, now: number): EndReason | undefined {
  return endByParticipants(record) ?? endByLimits(record, now);
}

function endByParticipants(record: ConversationRecord): EndReason | undefined {
  const { mode, participants, moderated, silent, last } = record;
  const active = activeParticipants(record);
  const withoutModerator = moderated ? participants.slice(0, -1) : participants;
  const reason = withoutModerator.some(({ ended }) => ended === 'failed') ? 'failed' : 'signal';
  const { ends } = MODES[mode];
  if (active.length === 0) return reason;
  if (ends === 'first' && !active.includes(0)) return reason;
  // The last participant of a debate has one more turn. If the others failed, there is nothing to reply to.
  if (active.length < 2 && (ends !== 'all' || reason === 'failed' || last === active[0])) return reason;
  if (silent >= active.length) return 'silence';
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
