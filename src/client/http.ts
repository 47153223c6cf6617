import type { EventEnvelope } from '../../contracts/events.js';
import type { Problem } from '../../contracts/http.js';
import { IDEMPOTENCY_HEADER } from '../../contracts/idempotency.js';
import { SUBJECT } from '../../contracts/names.js';
import type { AnswerOf, RequestOf } from '../../contracts/operation-schemas.js';
import { OPERATIONS, type Operation, type OperationName } from '../../contracts/operations.js';
import { KsiError, KsiUnreachableError } from './errors.js';
import type { EventMessage } from './event-message.js';
import { httpRequestOf } from './http-request.js';
import { repeated } from './repeat.js';
import { followSocket } from './socket.js';
import { followTask } from './task-events.js';
import type { EventsOptions, FollowOptions, KeyedOptions, Transport } from './transport.js';

export interface KsiClientOptions {
  /** An API's address, as `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly token: string;
}

/** KSI's HTTP and WebSocket API. */
export class HttpTransport implements Transport {
  readonly url: string;
  readonly #token: string;

  constructor({ url, token }: KsiClientOptions) {
    this.url = url.replace(/\/+$/, '');
    this.#token = token;
  }

  call<N extends OperationName>(name: N, request: RequestOf<N>, options: KeyedOptions = {}): Promise<AnswerOf<N>> {
    const operation: Operation = OPERATIONS[name];
    const { method, path, body } = httpRequestOf(operation, request);
    const init: RequestInit = {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.idempotencyKey === undefined ? {} : { [IDEMPOTENCY_HEADER]: options.idempotencyKey }),
      },
      ...(body === undefined ? {} : { body }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    };
    const ask = async (): Promise<AnswerOf<N>> => this.#read(await this.request(path, init), operation, init);
    return options.idempotencyKey === undefined ? ask() : repeated(ask, options);
  }

  taskEvents(id: string, options: FollowOptions = {}): AsyncGenerator<EventEnvelope> {
    return followTask(this, id, options);
  }

  events({ subjects = [SUBJECT.eventsAll], since, signal, onRetry }: EventsOptions = {}): AsyncGenerator<EventMessage> {
    return followSocket({ url: this.url, token: this.#token, subjects, since, signal, onRetry });
  }

  async close(): Promise<void> {}

  /** @throws {KsiError} @throws {KsiUnreachableError} @throws the signal's reason. */
  async request(path: string, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(`${this.url}${path}`, {
        ...init,
        headers: { ...(init.headers as Record<string, string> | undefined), authorization: `Bearer ${this.#token}` },
      });
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new KsiUnreachableError(this.url, error);
    }
    if (answer.ok) return answer;
    const problem = await answer.json().then(
      (body) => body as Problem,
      () => undefined,
    );
    const retryAfter = Number(answer.headers.get('retry-after'));
    throw new KsiError(answer.status, problem, Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined);
  }

  async #read<A>(answer: Response, { text }: Operation, { signal }: RequestInit): Promise<A> {
    try {
      if (text === true) return (await answer.text()) as A;
      if (answer.status !== 204) return (await answer.json()) as A;
      await answer.body?.cancel();
      return undefined as A;
    } catch (error) {
      signal?.throwIfAborted();
      throw new KsiUnreachableError(this.url, error); // Broken off within the answer, or not one of KSI's.
    }
  }
}
