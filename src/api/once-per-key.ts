import type { Logger } from 'pino';
import { CALL_RECORDS, type CallRecord } from '../../contracts/api/calls.js';
import { OPERATIONS, type OperationName } from '../../contracts/api/operations.js';
import { IDEMPOTENCY_KEY_PATTERN } from '../../contracts/tasks/idempotency.js';
import { FORMAT_VERSION, IDEMPOTENCY_HEADER } from '../../contracts/wire/names.js';
import { repeatableOf } from '../../contracts/wire/operation.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Call } from '../access/handlers.js';
import type { Broker } from '../broker/connect.js';
import { Records } from '../broker/records.js';
import { ApiError, withApiErrors, invalid } from '../errors/api-error.js';
import { toApiError } from '../errors/problem.js';
import { callKey, requestHash } from '../tasks/accept/idempotency-keys.js';
import type { OperationHandlers } from './handlers.js';
import { openAnswer, sealAnswer } from './sealed-answer.js';

type Handler = (request: object, call: Call) => unknown;

const KEY = new RegExp(IDEMPOTENCY_KEY_PATTERN);
/** An API that has not answered by then is taken for dead, and a repetition is carried out. */
const LEASE_MS = 20_000;
const RETRY_AFTER_S = 4;

interface Begun {
  readonly key: IdKey;
  readonly record: CallRecord;
  readonly revision: number;
}

/**
 * Gives each operation that creates something its idempotency key, over HTTP and NATS alike: requests with the same key and body are one
 * request. If its API dies in the middle, a repetition is carried out with the same `call.id`, so that it finds what the first one made.
 * A spawn does this by itself, because its task may run before it is answered.
 */
export function oncePerKey(handlers: OperationHandlers, broker: Broker, log: Logger): OperationHandlers {
  const once = new OncePerKey(broker, log);
  const wrapped = Object.entries(handlers).map(([name, handle]) => {
    const repeatable = repeatableOf(OPERATIONS[name as OperationName]);
    const isKeyed = name !== 'spawn' && (repeatable === 'keyed' || repeatable === 'message_id');
    return [name, isKeyed ? once.wrap(name, handle as Handler) : handle];
  });
  return Object.fromEntries(wrapped) as OperationHandlers;
}

class OncePerKey {
  readonly #broker: Broker;
  readonly #records: Records<typeof CallRecord, IdKey>;
  readonly #log: Logger;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#records = new Records(broker, CALL_RECORDS, log);
    this.#log = log;
  }

  wrap(name: string, handle: Handler): Handler {
    return async (request, call) => {
      const { idempotencyKey: key } = call;
      if (key === undefined) return handle(request, call);
      if (!KEY.test(key))
        throw invalid([{ field: IDEMPOTENCY_HEADER, message: 'must be 1 to 255 visible ASCII characters' }]);
      const begun = await withApiErrors(() => this.#begin(requestHash({ name, request }), key, call));
      const { record } = begun;
      if (record.answer !== undefined) {
        call.replayed = true;
        return openAnswer(key, record.answer);
      }
      call.id = record.id;
      try {
        const answer = await handle(request, call);
        await this.#keep(begun, { ...record, answer: sealAnswer(key, answer) });
        return answer;
      } catch (error) {
        // A refused request has done nothing, so its key is free. After another failure, nobody knows.
        await this.#keep(begun, toApiError(error).status < 500 ? undefined : { ...record, until: 0 });
        throw error;
      }
    };
  }

  /** @throws {ApiError} idempotency_mismatch, request_in_progress */
  async #begin(body: string, key: string, { principal, id }: Call): Promise<Begun> {
    const recordKey = callKey(principal.owner, key);
    const { record, revision } = await this.#records.update(recordKey, ({ record: stands }) => {
      const now = Math.ceil(this.#broker.clock.now());
      const until = now + LEASE_MS;
      if (stands === undefined) return { v: FORMAT_VERSION, body, id, until };
      if (stands.body !== body)
        throw new ApiError('idempotency_mismatch', 'An earlier request with this key was another one');
      if (stands.answer !== undefined) return undefined;
      if (stands.until > now)
        throw new ApiError('request_in_progress', 'The earlier request with this key is not answered yet', {
          retryAfter: RETRY_AFTER_S,
        });
      return { ...stands, until };
    });
    if (record === undefined) throw new ApiError('internal', 'The record of the idempotency key is gone');
    return { key: recordKey, record, revision };
  }

  /** Never rejects: the request itself is done. @param record undefined: forget the key. */
  async #keep({ key, revision }: Begun, record: CallRecord | undefined): Promise<void> {
    try {
      if (record === undefined) await this.#records.removeAt(key, revision);
      else await this.#records.put(key, record, revision);
    } catch (error) {
      this.#log.warn({ err: error }, 'the answer of a request with an idempotency key could not be kept');
    }
  }
}
