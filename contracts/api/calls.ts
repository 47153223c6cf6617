import { Type, type Static } from 'typebox';
import { BUCKET, SUBJECT, UUID_PATTERN } from '../wire/names.js';
import { recordKind } from '../wire/record-kind.js';

/** What stands in `ksi_idempotency` for the key of a call. Spawns have a record of their own (IdempotencyRecord). */
export const CallRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  body: Type.String({ description: 'SHA-256 of the operation and its request.' }),
  id: Type.String({
    pattern: UUID_PATTERN,
    description: 'What the call creates has this id, however often it is tried.',
  }),
  until: Type.Integer({ description: 'In ms since 1970, by the broker: an API carries the call out until then.' }),
  answer: Type.Optional(
    Type.String({ description: 'Encrypted with the key, which is stored nowhere. Absent: the call is not done yet.' }),
  ),
});
export type CallRecord = Static<typeof CallRecord>;

export const CALL_RECORDS = recordKind(BUCKET.idempotency, CallRecord, SUBJECT.idempotency, { ttlS: 86_400 });
