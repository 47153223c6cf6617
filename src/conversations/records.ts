import type { Logger } from 'pino';
import { CONVERSATION_RECORDS, type ConversationRecord } from '../../contracts/conversations/conversations.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import type { KvCache } from '../broker/kv-cache.js';
import { ownerIn, Records } from '../broker/records.js';
import { wakesAt } from './due.js';

export type ConversationRecords = Records<typeof ConversationRecord, IdKey>;

/** What every API knows of every conversation. */
export interface Digest {
  readonly owner: string;
  /** `bad`: its record cannot be read, only removed. */
  readonly status: ConversationRecord['status'] | 'bad';
  readonly createdAt: string;
  /** When it must be looked at although nothing happens, in ms since 1970; 0: something is left to be done. */
  readonly wakesAt: number | undefined;
}

/** The digests of all conversations, in memory. */
export type Digests = KvCache<Digest>;

export function conversationRecords(broker: Broker, log: Logger): { records: ConversationRecords; digests: Digests } {
  const records = new Records(broker, CONVERSATION_RECORDS, log);
  const digests = records.watch<Digest>({
    of: digestOf,
    // Enough for its owner, or a principal who sees all owners, to find and remove it.
    bad: (value) => ({ owner: ownerIn(value), status: 'bad', createdAt: '', wakesAt: undefined }),
    log,
  });
  return { records, digests };
}

/** Those of an owner, or of all; the newest first. */
export function newest(digests: Digests, owner: string | undefined): [string, Digest][] {
  const found: [string, Digest][] = [];
  for (const [id, { value }] of digests.entries())
    if (owner === undefined || value.owner === owner) found.push([id, value]);
  return found.toSorted(([a, { createdAt: at }], [b, { createdAt: bt }]) =>
    at === bt ? (a < b ? 1 : -1) : at < bt ? 1 : -1,
  );
}

const digestOf = (record: ConversationRecord): Digest => ({
  owner: record.owner,
  status: record.status,
  createdAt: record.created_at,
  wakesAt: wakesAt(record),
});
