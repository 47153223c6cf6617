import { randomUUID } from 'node:crypto';
import type { AnswerOf, OperationName, RequestOf } from '../../contracts/api/operations.js';
import type { EventEnvelope } from '../../contracts/events/events.js';
import { pause, pauseBefore } from '../client/backoff.js';
import { KsiUnreachableError } from '../client/errors.js';
import type { EventMessage } from '../client/event-message.js';
import { linked } from '../client/linked.js';
import { isRefused } from '../client/causes.js';
import { ROUTES } from '../client/routes.generated.js';
import type { EventsOptions, FollowOptions, KeyedOptions, Transport } from '../client/transport.js';

/** Old clients wait 30 s for an answer. */
const CALL_TIMEOUT_MS = 20_000;

/**
 * Calls KSI for old clients, which take a failed command for a dead daemon. A call outlasts a short restart of an API, and fails in time if
 * the API is frozen.
 */
export class PatientTransport implements Transport {
  readonly #inner: Transport;
  readonly #timeoutMs: number;

  constructor(inner: Transport, timeoutMs = CALL_TIMEOUT_MS) {
    this.#inner = inner;
    this.#timeoutMs = timeoutMs;
  }

  get url(): string {
    return this.#inner.url;
  }

  /** @throws {KsiUnreachableError} also when the time is up: then KSI may still carry the call out */
  async call<N extends OperationName>(
    name: N,
    request: RequestOf<N>,
    options: KeyedOptions = {},
  ): Promise<AnswerOf<N>> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new Error('the time is up')), this.#timeoutMs);
    const { signal, release } = linked(options.signal, deadline.signal);
    // An earlier try within a repeated call may have had an effect.
    const idempotencyKey = options.idempotencyKey ?? (ROUTES[name].repeatable === 'keyed' ? randomUUID() : undefined);
    try {
      for (let tries = 0; ; tries++) {
        try {
          return await this.#inner.call(name, request, { ...options, idempotencyKey, signal });
        } catch (error) {
          if (!(error instanceof KsiUnreachableError) || !isRefused(error)) throw error;
          await pause(pauseBefore(tries), signal);
        }
      }
    } catch (error) {
      if (!deadline.signal.aborted || options.signal?.aborted === true) throw error;
      throw new KsiUnreachableError(this.url, error);
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  taskEvents(id: string, options?: FollowOptions): AsyncGenerator<EventEnvelope> {
    return this.#inner.taskEvents(id, options);
  }

  events(options?: EventsOptions): AsyncGenerator<EventMessage> {
    return this.#inner.events(options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
