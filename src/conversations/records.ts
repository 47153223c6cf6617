import type { Logger } from 'pino';
import { CONVERSATION_RECORDS, type ConversationRecord } from '../../contracts/conversations/conversations.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import type { KvCache } from '../broker/kv-cache.js';
import { ownerIn, Records, type Versioned } from '../broker/records.js';
import { nextCheckAt } from './next-action.js';

export type ConversationRecords = Records<typeof ConversationRecord, IdKey>;

/** The facts about a conversation that every API holds in memory. */
export interface ConversationSummary {
  readonly owner: string;
  /** `bad`: the record is invalid and can only be deleted. */
  readonly status: ConversationRecord['status'] | 'bad';
  readonly createdAt: string;
  /** The next deadline, in ms since 1970; 0 if an action is open. */
  readonly nextCheckAt: number | undefined;
}

/** The summaries of all conversations, in memory. */
export type ConversationSummaries = KvCache<ConversationSummary>;

export function conversationRecords(
  broker: Broker,
  log: Logger,
): { records: ConversationRecords; summaries: ConversationSummaries } {
  const records = new Records(broker, CONVERSATION_RECORDS, log);
  const summaries = records.watch<ConversationSummary>({
    of: summaryOf,
    // These facts suffice for its owner, or a principal who sees all owners, to find and delete it.
    bad: (value) => ({ owner: ownerIn(value), status: 'bad', createdAt: '', nextCheckAt: undefined }),
    log,
  });
  return { records, summaries };
}

/** A conversation's record and its revision. */
export type VersionedConversation = Pick<Versioned<ConversationRecord>, 'record' | 'revision'>;

/** The conversations of one owner or of all owners, newest first. */
export function newest(summaries: ConversationSummaries, owner: string | undefined): [string, ConversationSummary][] {
  const found: [string, ConversationSummary][] = [];
  for (const [id, { value }] of summaries.entries())
    if (owner === undefined || value.owner === owner) found.push([id, value]);
  return found.toSorted(([a, { createdAt: at }], [b, { createdAt: bt }]) =>
    at === bt ? (a < b ? 1 : -1) : at < bt ? 1 : -1,
  );
}

const summaryOf = (record: ConversationRecord): ConversationSummary => ({
  owner: record.owner,
  status: record.status,
  createdAt: record.created_at,
  nextCheckAt: nextCheckAt(record),
});
