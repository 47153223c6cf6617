import type { Abandoned, ConversationRecord } from '../../contracts/conversations/conversations.js';

/** What is decided, and not done yet. Each may be done twice, and is then done once. */
export type Due =
  /** An agent is to be registered before anybody has the word. */
  | { readonly kind: 'register'; readonly speaker: number }
  /** Events are to be told. */
  | { readonly kind: 'tell' }
  /** The message is to be sent that gives a turn. */
  | { readonly kind: 'send' }
  /** A turn is to be cancelled that nobody waits for any more. */
  | { readonly kind: 'cancel'; readonly turn: Abandoned }
  | { readonly kind: 'remove'; readonly speaker: number };

/** Pure: in the order in which it is to be done; undefined: nothing is. */
export function dueOf({ status, speakers, pending, floor, keep, abandoned }: ConversationRecord): Due | undefined {
  const find = (matches: (made: NonNullable<(typeof speakers)[number]['made']>) => boolean): number =>
    speakers.findIndex(({ made }) => made !== undefined && matches(made));
  const toRegister = status === 'ended' ? -1 : find(({ session_id }) => session_id === undefined);
  if (toRegister !== -1) return { kind: 'register', speaker: toRegister };
  if (pending.length > 0) return { kind: 'tell' };
  const turn = abandoned.find(({ cancelled }) => cancelled !== true);
  if (turn !== undefined) return { kind: 'cancel', turn };
  if (status !== 'ended') return floor?.sent === false ? { kind: 'send' } : undefined;
  const toRemove = keep ? -1 : find(({ removed }) => removed !== true);
  return toRemove === -1 ? undefined : { kind: 'remove', speaker: toRemove };
}

/** When it must be looked at again although nothing happens, in ms since 1970; undefined: never. */
export function wakesAt(record: ConversationRecord): number | undefined {
  if (dueOf(record) !== undefined) return 0;
  if (record.status !== 'running') return undefined;
  return Math.min(Date.parse(record.ends_by), Date.parse(record.floor?.until ?? record.ends_by));
}
