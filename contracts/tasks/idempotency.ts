import { Type, type Static } from 'typebox';
import { UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { TASK_STATUSES } from './states.js';
import { recordKind } from '../wire/record-kind.js';

/** Visible ASCII: what a header can carry unchanged. */
export const IDEMPOTENCY_KEY_PATTERN = '^[\\x21-\\x7e]{1,255}$';

/**
 * What stands in `ksi_idempotency` for a key. Its changes are by compare-and-set:
 * - `open`: the task may be on its way; nobody was told that it was accepted, and nobody may cancel it yet
 * - `stored`: it was accepted, and everybody is told so
 * - `abandoned`: its API could not store it and cancels it, or makes sure that it never runs
 */
export const IdempotencyRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  /** SHA-256 of the request; of a message's task the message's id. */
  body: Type.String(),
  task_id: Type.String({ pattern: UUID_PATTERN }),
  session_id: Type.String({ pattern: UUID_PATTERN }),
  start_by: Type.Optional(Type.String({ format: 'date-time' })),
  accepted_at: Type.String({ format: 'date-time' }),
  since: Type.String(),
  state: Type.Enum(['open', 'stored', 'abandoned']),
  /** As it was answered. */
  status: Type.Optional(Type.Enum([...TASK_STATUSES])),
});
export type IdempotencyRecord = Static<typeof IdempotencyRecord>;

export const IDEMPOTENCY_RECORDS = recordKind(BUCKET.idempotency, IdempotencyRecord, SUBJECT.idempotency, {
  ttlS: 86_400,
});
