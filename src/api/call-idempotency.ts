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
/** A request that has no answer after this time counts as lost with its API. A repeated request then runs again. */
const LEASE_MS = 20_000;
const RETRY_AFTER_S = 4;

interface StartedRequest {
  readonly key: IdKey;
  readonly record: CallRecord;
  readonly revision: number;
}

/**
 * Wraps the handlers of operations that take an idempotency key. Requests with the same key and body, over HTTP or NATS, run once and get the
 * same answer. If the API dies during a request, a repeated request runs again with the same `call.id`, so that the handler finds what the
 * first one created. `spawn` is not wrapped: it handles its own key, because its task may start before the request is answered.
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
      const started = await withApiErrors(() => this.#begin(requestHash({ name, request }), key, call));
      const { record } = started;
      if (record.answer !== undefined) {
        call.replayed = true;
        return openAnswer(key, record.answer);
      }
      call.id = record.id;
      try {
        const answer = await handle(request, call);
        await this.#storeResult(started, { ...record, answer: sealAnswer(key, answer) });
        return answer;
      } catch (error) {
        // A refused request changed nothing: its key becomes free. After another failure the effect is unknown: the record stays, without a lease.
        await this.#storeResult(started, toApiError(error).status < 500 ? undefined : { ...record, until: 0 });
        throw error;
      }
    };
  }

  /** @throws {ApiError} idempotency_mismatch, request_in_progress */
  async #begin(body: string, key: string, { principal, id }: Call): Promise<StartedRequest> {
    const recordKey = callKey(principal.owner, key);
    const { record, revision } = await this.#records.update(recordKey, ({ record: existing }) => {
      const now = Math.ceil(this.#broker.clock.now());
      const until = now + LEASE_MS;
      if (existing === undefined) return { v: FORMAT_VERSION, body, id, until };
      if (existing.body !== body)
        throw new ApiError('idempotency_mismatch', 'This idempotency key was used for a different request');
      if (existing.answer !== undefined) return undefined;
      if (existing.until > now)
        throw new ApiError(
          'request_in_progress',
          'The earlier request with this idempotency key is still in progress',
          {
            retryAfter: RETRY_AFTER_S,
          },
        );
      return { ...existing, until };
    });
    if (record === undefined)
      throw new ApiError('internal', 'The record of the idempotency key was deleted during the request');
    return { key: recordKey, record, revision };
  }

  /** Stores the result of a request. Without a record it frees the key. Never rejects, as the request itself has ended. */
  async #storeResult({ key, revision }: StartedRequest, record: CallRecord | undefined): Promise<void> {
    try {
      if (record === undefined) await this.#records.removeAt(key, revision);
      else await this.#records.put(key, record, revision);
    } catch (error) {
      this.#log.warn(
        { err: error },
        'could not store the result of a request with an idempotency key; a repeated request will run again',
      );
    }
  }
}
