import type { Database } from 'lmdb';
import type { EventData } from '../../contracts/events/events.js';
import { addUsd } from '../../contracts/wire/money.js';
import type { HubEvent } from '../events/hub-event.js';
import { defined } from '../defined.js';

/** What a TASK_DELETED or SESSION_DELETED changes in the read model. */
export interface Deletion {
  readonly seq: number;
  /** UTC, of the event. */
  readonly day: string;
  readonly sessionId: string;
  /** Absent: the session itself was deleted. */
  readonly task?: Pick<EventData<'TASK_DELETED'>, 'task_id' | 'owner' | 'spent'>;
}

/** Which deleted tasks to sum up: those that ended on a day, were in a session, or in an exchange. */
export type DeletedCosts =
  | { readonly owner: string; readonly day: string; readonly tokenId?: string | undefined }
  | { readonly sessionId: string }
  | { readonly exchangeId: string; readonly owner?: string | undefined };

interface Counter {
  readonly usd: number;
  /** Of the last deletion that was counted: an event that is applied again changes nothing. */
  readonly seq: number;
  /** The last day on which anybody can ask. */
  readonly until?: string | undefined;
}

const LAST = '\uFFFF';
const DAY_MS = 86_400_000;
/** APIs and the deleting one's clock may be on both sides of midnight. */
const DAY_KEPT_DAYS = 1;
const UNTIL = 'until';

/** What one deletion writes at most. */
export const DELETION_BYTES = 2_048;
/** Of obsolete counters, with one deletion: a transaction is bounded. */
const DROPPED_AT_ONCE = 8;

/**
 * What deleted tasks have cost, for budgets: a deletion must not give money back. One counter per session, per exchange, and per day, owner and token.
 * Their source is the `spent` of TASK_DELETED, which the broker stores once per task and keeps as long as other events.
 */
export class DeletedCostCounters {
  readonly #db: Database<Counter | null, string[]>;
  readonly #exchangeDays: number;

  /** @param exchangeDays after the last deletion, the counter of an exchange is dropped. */
  constructor(db: Database<Counter | null, string[]>, exchangeDays: number) {
    this.#db = db;
    this.#exchangeDays = exchangeDays;
  }

  of(filter: DeletedCosts): number {
    const start = prefixOf(filter);
    let usd = 0;
    for (const { value } of this.#db.getRange({ start, end: [...start, LAST] })) usd = addUsd(usd, value?.usd ?? 0);
    return usd;
  }

  /** In a transaction. Deletions must come in the order of the stream. */
  apply({ seq, day, sessionId, task }: Deletion): void {
    this.#dropUntil(day);
    if (task === undefined) return void this.#db.remove(['session', sessionId]);
    const { owner, spent } = task;
    if (spent === undefined) return;
    const { usd, ended_on: endedOn, token_id: tokenId = '', exchange_id: exchangeId } = spent;
    this.#raise(['session', sessionId], usd, seq);
    const lastDay = later(endedOn, DAY_KEPT_DAYS);
    if (lastDay >= day) this.#raise(['day', owner, endedOn, tokenId], usd, seq, lastDay);
    if (exchangeId !== undefined)
      this.#raise(['exchange', exchangeId, owner], usd, seq, later(day, this.#exchangeDays));
  }

  clear(): Promise<void> {
    return this.#db.clearAsync();
  }

  #raise(key: string[], usd: number, seq: number, until?: string): void {
    const old = this.#db.get(key) ?? undefined;
    if (old !== undefined && old.seq >= seq) return;
    void this.#db.put(key, { usd: addUsd(old?.usd ?? 0, usd), seq, until });
    if (old?.until !== undefined) void this.#db.remove([UNTIL, old.until, ...key]);
    if (until !== undefined) void this.#db.put([UNTIL, until, ...key], null);
  }

  #dropUntil(day: string): void {
    // Read whole: it must not see what the loop removes.
    const obsolete = Array.from(this.#db.getKeys({ start: [UNTIL], end: [UNTIL, day], limit: DROPPED_AT_ONCE }));
    for (const key of obsolete) {
      void this.#db.remove(key);
      void this.#db.remove(key.slice(2));
    }
  }
}

const later = (day: string, days: number): string =>
  new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);

function prefixOf(filter: DeletedCosts): string[] {
  if ('sessionId' in filter) return ['session', filter.sessionId];
  const { owner, ...rest } = filter;
  if ('exchangeId' in rest) return ['exchange', rest.exchangeId, ...(owner === undefined ? [] : [owner])];
  return ['day', filter.owner ?? '', rest.day, ...(rest.tokenId === undefined ? [] : [rest.tokenId])];
}

/** @returns undefined: the event is not of a deletion that concerns the read model. */
export function deletionOf({ type, seq, timestamp, data }: HubEvent): Deletion | undefined {
  const { task_id, session_id, owner, spent } = data as Partial<EventData<'TASK_DELETED'>>;
  if (session_id === undefined || owner === undefined) return undefined;
  const common = { seq, day: timestamp.slice(0, 10), sessionId: session_id };
  if (type === 'SESSION_DELETED') return common;
  if (type !== 'TASK_DELETED' || task_id === undefined) return undefined;
  return { ...common, task: defined({ task_id, owner, spent }) };
}
