import { Type, type Static } from 'typebox';
import { UUID_PATTERN, BUCKET, SUBJECT } from '../wire/names.js';
import { TASK_STATUSES } from './states.js';
import { recordKind } from '../wire/record-kind.js';

/** Visible ASCII, which an HTTP header carries unchanged. */
export const IDEMPOTENCY_KEY_PATTERN = '^[\\x21-\\x7e]{1,255}$';

/**
 * The record of an idempotency key in `ksi_idempotency`. It changes by compare-and-set:
 * - `open`: an API is storing the task. No client has an answer yet, and the task cannot be cancelled yet
 * - `stored`: the task was accepted, and every request with the key gets that answer
 * - `abandoned`: the API could not store the task. It cancels the task, or makes sure that it never runs
 */
export const IdempotencyRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  /** SHA-256 of the request. For the task of a message, the message id. */
  body: Type.String(),
  task_id: Type.String({ pattern: UUID_PATTERN }),
  session_id: Type.String({ pattern: UUID_PATTERN }),
  start_by: Type.Optional(Type.String({ format: 'date-time' })),
  accepted_at: Type.String({ format: 'date-time' }),
  since: Type.String(),
  state: Type.Enum(['open', 'stored', 'abandoned']),
  /** The status in the answer. */
  status: Type.Optional(Type.Enum([...TASK_STATUSES])),
});
export type IdempotencyRecord = Static<typeof IdempotencyRecord>;

export const IDEMPOTENCY_RECORDS = recordKind(BUCKET.idempotency, IdempotencyRecord, SUBJECT.idempotency, {
  ttlS: 86_400,
});
