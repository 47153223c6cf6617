import type { AbandonedTurn, ConversationRecord } from '../../contracts/conversations/conversations.js';

/** An action that a conversation's state calls for. Repeating an action has no further effect. */
export type Action =
  /** Register an agent before the first turn. */
  | { readonly kind: 'register'; readonly participant: number }
  /** Publish the pending events. */
  | { readonly kind: 'publish' }
  /** Send the message that begins the current turn. */
  | { readonly kind: 'send' }
  | { readonly kind: 'cancel'; readonly turn: AbandonedTurn }
  | { readonly kind: 'remove'; readonly participant: number };

/** Pure. @returns undefined if there is nothing to do now. */
export function nextAction(record: ConversationRecord): Action | undefined {
  const { status, participants, pending, current_turn: current, keep, abandoned } = record;
  const find = (matches: (state: 'registered' | 'removed' | undefined) => boolean): number =>
    participants.findIndex(({ registration }) => registration !== undefined && matches(registration.state));
  const toRegister = status === 'ended' ? -1 : find((state) => state === undefined);
  if (toRegister !== -1) return { kind: 'register', participant: toRegister };
  if (pending.length > 0) return { kind: 'publish' };
  const turn = abandoned.find(({ cancelled }) => cancelled !== true);
  if (turn !== undefined) return { kind: 'cancel', turn };
  if (status !== 'ended') return current?.sent === false ? { kind: 'send' } : undefined;
  const toRemove = keep ? -1 : find((state) => state !== 'removed');
  return toRemove === -1 ? undefined : { kind: 'remove', participant: toRemove };
}

/** The time of the next deadline, in ms since 1970; 0 if there is an action to do now; undefined if only a trigger can change the conversation. */
export function nextCheckAt(record: ConversationRecord): number | undefined {
  if (nextAction(record) !== undefined) return 0;
  if (record.status !== 'running') return undefined;
  return Math.min(Date.parse(record.ends_by), Date.parse(record.current_turn?.until ?? record.ends_by));
}
